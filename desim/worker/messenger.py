"""What a worker sends and receives, and how it waits."""

from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from math import inf
from typing import Any, Literal, NamedTuple, cast

import simpy

from desim.clock.barrier import Barrier
from desim.clock.mailbox import Delivery
from desim.clock.network import Network
from desim.clock.timeline import Timeline
from desim.tensors.received import Received

#: A worker's generator yields and takes: simulated time passes at each `yield from`.
Waiting = Generator[simpy.Event, Any, Any]

_FLOAT_BITS = 32


class Message(NamedTuple):
    """Something on its way.

    Attributes:
        content: what arrives: a ref, a number, or a tuple of these.
        size_bits: how many bits it takes.
    """

    content: Any
    size_bits: int

    @classmethod
    def of(cls, *parts: "Message | float") -> "Message":
        """One message of several, or of numbers (32 bits each); its content is a tuple."""
        messages = [p if isinstance(p, Message) else Message(p, _FLOAT_BITS) for p in parts]
        return cls(tuple(m.content for m in messages), sum(m.size_bits for m in messages))


class Messenger:
    """The part of a worker that sends, receives and waits.

    Attributes:
        id: its number, from 0.
        neighbours: those that it hears, ascending; in a graph without directions its neighbours.
        targets: those that it sends to, ascending.
        steps: local steps committed so far.
    """

    def __init__(
        self,
        id: int,
        neighbours: Sequence[int],
        targets: Sequence[int],
        *,
        env: simpy.Environment,
        network: Network,
        barrier: Barrier,
        timeline: Timeline,
        rounds: list[int],
    ) -> None:
        self.id = id
        self.neighbours = list(neighbours)
        # One list for both in a graph without directions: there may be 100,000 workers.
        self.targets = self.neighbours if targets is neighbours else list(targets)
        self.steps = 0
        self._env, self._network, self._timeline = env, network, timeline
        self._barrier, self._mailbox = barrier, network.mailboxes[id]
        # Barriers of this local step: how many it has come to, and how many have opened for it.
        self._barriers = self._opened = 0
        #: What it gathered first in this local step, and gathers again after a crash.
        self._first_tag: int | None = None
        #: The round that each worker is in.
        self._rounds = rounds
        #: What it waits for: the tag that it gathers, the barrier, to be received, or messages.
        self._waits: int | Literal["barrier", "received", "messages"] | None = None
        self._waits_since_s = 0.0

    @property
    def now_s(self) -> float:
        """Simulated time in seconds."""
        return float(self._env.now)

    def broadcast(self, message: Message, tag: int) -> None:
        """Sends to all targets, who `gather` it under the tag; takes no time of the worker's."""
        self._network.broadcast(self.id, message.content, message.size_bits, tag)

    def gather(
        self, tag: int, timeout_s: float | None = None
    ) -> Generator[simpy.Event, Any, Received]:
        """Waits until the messages of all neighbours under this tag have arrived.

        Args:
            tag: at least that of the last call.
            timeout_s: after so long it goes on with those that have arrived; None waits for all.
        """
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
        """Waits until all workers have come here."""
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
        """Sends to all targets, who read the `newest`; waits until all have received it.

        Args:
            message: what to send.
            timeout_s: after so long it goes on; None waits for all.
        """
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
        """Sends to all targets, who read the `newest`; takes no time of the worker's.

        On a link that is still busy the message waits, and takes the place of an older one that
        waits already.
        """
        self._network.post(self.id, message.content, message.size_bits, self.steps)

    def newest(self, *, instant: bool = False) -> Received:
        """The newest model of each neighbour that has arrived; the initial one before that.

        Args:
            instant: see what neighbours have handed to their links, arrived or not.
        """
        return Received(self.neighbours, self._network.newest(self.id, instant=instant))

    def tell(self, target: int, message: Message, tag: Hashable) -> None:
        """Sends to one target, who `hear`s it under the tag; takes no time of the worker's."""
        self._network.tell(self.id, target, message.content, message.size_bits, self.steps, tag)

    def tell_all(self, targets: Iterable[int], message: Message, tag: Hashable) -> None:
        """Sends to some targets, each in a message of its own."""
        for target in targets:
            self.tell(target, message, tag)

    def hear(self, tag: Hashable, count: int = 1) -> Generator[simpy.Event, Any, list[Delivery]]:
        """Waits until so many messages under the tag are there, and takes them.

        Returns:
            (sender, content) of each, in the order of their arrival.
        """
        yield from self.until(lambda: self._mailbox.count(tag) >= count)
        return self._mailbox.take(tag, count)

    def heard(self, tag: Hashable) -> list[Delivery]:
        """Takes the messages under the tag that are there."""
        return self._mailbox.take(tag, self._mailbox.count(tag))

    def on(self, tag: Hashable, handler: Callable[[int, Any], None]) -> None:
        """Has messages under the tag handled at the instant of their arrival.

        Args:
            tag: of the messages.
            handler: called with the sender's number and the content, whatever the worker is doing;
                takes no time. It may `tell` and `record`, but not wait.
        """
        self._mailbox.handle(tag, handler)

    def until(self, condition: Callable[[], bool]) -> Waiting:
        """Waits until the condition holds; it is looked at whenever a message has arrived."""
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

    def stall(self) -> None:
        """Notes the wait that will never end."""
        if self._waits is not None:
            self._waited()

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
