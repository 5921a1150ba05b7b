"""Messages that a worker keeps by number until it has come to a later one.

What a worker takes out of its mailbox is gone when it crashes; what lies here is still there
when it comes back and begins the same round again.
"""

from collections import defaultdict
from collections.abc import Hashable
from typing import Any

from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker

_TAG = "kept"

#: By number (a round, a group), then by key, what was sent.
Kept = defaultdict[int, dict[Any, Any]]


class Mailboxes:
    """All workers' kept messages: a method makes one of these in `prepare`.

    Args:
        workers: how many there are.
    """

    def __init__(self, workers: int) -> None:
        self._kept: list[Kept] = [defaultdict(dict) for _ in range(workers)]
        self._oldest = [0] * workers

    def open(self, me: Worker) -> None:
        """From now on messages to this worker are kept; at the beginning of `worker`."""
        kept = self._kept[me.id]

        def keep(_sender: int, content: Any) -> None:
            number, key, what = content
            # A worker that has come back may send once more what it has sent before.
            if number >= self._oldest[me.id]:
                kept[number].setdefault(key, what)

        me.on(_TAG, keep)

    def send(self, me: Worker, target: int, number: int, key: Hashable, message: Message) -> None:
        """Sends to one target, who keeps it; the number and the key cost no bits."""
        me.tell(target, Message((number, key, message.content), message.size_bits), _TAG)

    def since(self, me: Worker, number: int) -> Kept:
        """What is there under this number and later ones; what was under others is forgotten."""
        kept = self._kept[me.id]
        self._oldest[me.id] = max(self._oldest[me.id], number)
        for old in [n for n in kept if n < number]:
            del kept[old]
        return kept

    def wait(self, me: Worker, number: int, key: Hashable) -> Waiting:
        """Waits for one message, and gives its content."""
        there = self.since(me, number)[number]
        yield from me.until(lambda: key in there)
        return there[key]
