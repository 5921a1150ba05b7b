"""How a simulated worker sends, receives and waits: that part of the protocol."""

from collections.abc import Callable, Generator, Hashable, Iterable
from math import inf
from typing import Any, Literal, cast

import simpy

from desim.clock.mailbox import Delivery
from desim.tensors.received import Received
from desim.worker.message import Message
from desim.worker.protocol import Waiting
from desim.worker.shared import Shared


class Messenger:
    """The part of a simulated worker that sends, receives and waits; see the protocol.

    Args:
        id: its number.
        shared: what all workers of the trial share.

    Attributes:
        id, neighbours, targets, steps: as in the protocol.
    """

    def __init__(self, id: int, shared: Shared) -> None:
        self.id = id
        graph = shared.weights.graph
        self.neighbours: list[int] = graph.neighbours[id].tolist()
        # One list for both in a graph without directions: there may be 100,000 workers.
        self.targets: list[int] = self.neighbours
        if graph.directed:
            self.targets = graph.targets[id].tolist()
        self.steps = 0
        self._env, self._network, self._timeline = shared.env, shared.network, shared.timeline
        self._barrier, self._mailbox = shared.barrier, shared.network.mailboxes[id]
        # Barriers of this local step: how many it has come to, and how many have opened for it.
        self._barriers = self._opened = 0
        #: What it gathered first in this local step, and gathers again after a crash.
        self._first_tag: int | None = None
        #: The round that each worker is in.
        self._rounds = shared.rounds
        #: What it waits for: the tag that it gathers, the barrier, to be received, or messages.
        self._waits: int | Literal["barrier", "received", "messages"] | None = None
        self._waits_since_s = 0.0

    @property
    def now_s(self) -> float:
        """Simulated time in seconds."""
        return float(self._env.now)

    def broadcast(self, message: Message, tag: int) -> None:
        """Hands the message to all its links."""
        self._network.broadcast(self.id, message.content, message.size_bits, tag)

    def gather(
        self, tag: int, timeout_s: float | None = None
    ) -> Generator[simpy.Event, Any, Received]:
        """Waits for the neighbours' messages under the tag."""
        self._waits, self._waits_since_s = tag, self._env.now
        if self._first_tag is None:
            self._first_tag = tag
        timeout_s = inf if timeout_s is None else timeout_s
        try:
            messages = yield from self._network.gather(self.id, tag, timeout_s, self._first_tag)
        except simpy.Interrupt:
            self._waited()
            raise
        self._waited()
        if timeout_s < inf:
            return Received.partial(self.neighbours, messages)
        return Received(self.neighbours, messages)

    def barrier(self) -> Waiting:
        """Waits at the trial's barrier."""
        self._barriers += 1
        if self._barriers <= self._opened:
            return  # the others have gone on from it; a crash came before the end of this step
        self._waits, self._waits_since_s = "barrier", self._env.now
        event = self._barrier.arrive(self.id, self._rounds[self.id])
        try:
            # All go on together: who has missed rounds leaves them out.
            self._rounds[self.id] = yield event
        except simpy.Interrupt:
            self._waited()
            if event.triggered:  # it opened at the instant of the crash
                self._opened, self._rounds[self.id] = self._barriers, cast(int, event.value)
            raise
        self._waited()
        self._opened = self._barriers

    def send(self, message: Message, timeout_s: float | None = None) -> Waiting:
        """Waits until all targets have received it."""
        self._waits, self._waits_since_s = "received", self._env.now
        timeout_s = inf if timeout_s is None else timeout_s
        content, size_bits = message
        try:
            yield from self._network.send(self.id, content, size_bits, self.steps, timeout_s)
        except simpy.Interrupt:
            self._waited()
            raise
        self._waited()

    def send_when_free(self, message: Message) -> None:
        """Replaces what waits for a busy link."""
        self._network.post(self.id, message.content, message.size_bits, self.steps)

    def newest(self, *, instant: bool = False) -> Received:
        """What has arrived, or what neighbours have handed over."""
        return Received(self.neighbours, self._network.newest(self.id, instant=instant))

    def tell(self, target: int, message: Message, tag: Hashable) -> None:
        """Hands the message to one link."""
        self._network.tell(self.id, target, message.content, message.size_bits, self.steps, tag)

    def tell_all(self, targets: Iterable[int], message: Message, tag: Hashable) -> None:
        """Tells each of the targets."""
        for target in targets:
            self.tell(target, message, tag)

    def hear(self, tag: Hashable, count: int = 1) -> Generator[simpy.Event, Any, list[Delivery]]:
        """Waits for messages in its mailbox, and takes them."""
        yield from self.until(lambda: self._mailbox.count(tag) >= count)
        return self._mailbox.take(tag, count)

    def heard(self, tag: Hashable) -> list[Delivery]:
        """Takes what is in its mailbox."""
        return self._mailbox.take(tag, self._mailbox.count(tag))

    def on(self, tag: Hashable, handler: Callable[[int, Any], None]) -> None:
        """Has its mailbox call the handler."""
        self._mailbox.handle(tag, handler)

    def until(self, condition: Callable[[], bool]) -> Waiting:
        """Looks at the condition whenever a message has arrived."""
        while not condition():
            self._waits, self._waits_since_s = "messages", self._env.now
            try:
                yield self._mailbox.wait(condition)
            except simpy.Interrupt:
                self._mailbox.stop_waiting()
                self._waited()
                raise
            self._waited()

    def waits_for(self) -> list[int] | None:
        """Whom it waits for; None where it waits for nobody."""
        match self._waits:
            case None:
                return None
            case "barrier":
                return self._barrier.missing()
            case "received":
                return self.targets
            case "messages":
                return self.neighbours
            case tag:
                return self._network.missing(self.id, tag)

    def _waited(self) -> None:
        self._waits = None
        since_s, now_s = self._waits_since_s, self._env.now
        # While a worker's own message goes out it is sending, not idle; before that it may have had
        # to wait for the wire.
        sent_s, goes_s = self._network.sent_until_s[self.id], self._network.sent_from_s[self.id]
        if sent_s > since_s:
            if goes_s > since_s:
                self._timeline.wait(self.id, since_s, min(goes_s, now_s), self.steps)
            since_s = sent_s
        if now_s > since_s:
            self._timeline.wait(self.id, since_s, now_s, self.steps)
