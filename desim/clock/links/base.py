"""What a link is: it carries messages and says when each has left and arrives."""

from abc import abstractmethod
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import simpy

from desim.schema.registry import Member
from desim.streams import Streams

#: When a message departs, has left its link and arrives, in simulated seconds.
TransitTimes = tuple[float, float, float]


class Gathering:
    """What has been sent to one worker under one tag.

    Attributes:
        messages: by the receiver's neighbour number; None until it was sent.
        missing: how many neighbours have not sent yet.
        complete_s: when the last of those sent so far arrives.
        waiter: the event that happens when the last message arrives, if somebody waits for it.
        arrivals: when each message arrives, by place; None where all are always waited for.
    """

    __slots__ = ("arrivals", "complete_s", "messages", "missing", "waiter")

    def __init__(self, neighbours: int) -> None:
        self.messages: list[Any] = [None] * neighbours
        self.missing = neighbours
        self.complete_s = 0.0
        self.waiter: Any = None
        self.arrivals: dict[int, float] | None = None


class End(NamedTuple):
    """Where a link ends.

    Attributes:
        target: the receiver's number.
        boxes: its mailboxes by tag.
        place: the source's place among its neighbours.
        degree: the number of those.
    """

    target: int
    boxes: dict[int, Gathering]
    place: int
    degree: int


class Wire:
    """What carries one message at a time: a cable, a network card or a radio channel.

    Attributes:
        free_s: when the last message taken has left it.
        waiting: the links whose newest message waits until it is free, in order; None at first.
        settling: whether an event is to come that sends them, where that takes one.
    """

    __slots__ = ("free_s", "settling", "waiting")

    def __init__(self) -> None:
        self.free_s = 0.0
        self.settling = False
        # An empty deque takes 600 bytes, and there may be a million wires.
        self.waiting: deque[Link] | None = None


class Link:
    """Directed links from one worker to some of its neighbours, in the same state at all times.

    A worker sends to all its neighbours at once, so wires of their own with equal properties need
    one object only. A subclass says how long a message takes.

    Attributes:
        source: the sender's number.
        targets: the receivers' numbers.
        copies: how often a message that is sent to all of them goes over a wire.
        wire: what the messages wait for.
        ends: for each target where the link ends.
        newest: the newest message that has arrived, for asynchronous receivers.
        posted: the newest message handed to the links, arrived or not.
        flying: (arrival, message) of those on the way, in order; None at first.
        waiting: (message, bits, step) that will be sent when the wire is free, or None.
    """

    __slots__ = (
        "copies",
        "ends",
        "flying",
        "newest",
        "posted",
        "source",
        "targets",
        "waiting",
        "wire",
    )

    def __init__(self, source: int, targets: Sequence[int], wire: Wire, copies: int) -> None:
        self.source, self.wire, self.copies = source, wire, copies
        self.targets = array("i", targets)
        self.ends: list[End] = []
        self.newest: Any = None
        self.posted: Any = None
        self.flying: deque[tuple[float, Any]] | None = None
        self.waiting: tuple[Any, int, int] | None = None

    def carry(self, now_s: float, size_bits: int) -> TransitTimes:
        """Takes a message for each target at now_s; it goes out when those before it have left."""
        raise NotImplementedError("abstract")

    def send(self, now_s: float, size_bits: int, then: Callable[[TransitTimes], None]) -> None:
        """Takes a message and calls `then` with its passage, at once where that is known."""
        then(self.carry(now_s, size_bits))

    def split(self) -> "list[Link]":
        """The same as one link for each wire, with what is under way; itself where it is one.

        Only the newest of messages that wait or fly for asynchronous readers need be kept apart.
        """
        return [self]

    def drain(self) -> None:
        """At the end of a trial: tells of what is still under way, where nothing was told yet."""

    def land(self, now_s: float) -> None:
        """Keeps only the newest of the messages that have arrived."""
        flying = self.flying
        while flying and flying[0][0] <= now_s:
            self.newest = flying.popleft()[1]

    def fly(self, arrives_s: float, message: Any) -> None:
        """Takes a message on its way that arrives after all others."""
        if self.flying is None:
            self.flying = deque()
        self.flying.append((arrives_s, message))

    def wait(self, message: Any, size_bits: int, step: int) -> bool:
        """Lets a message wait for the wire, in the place of one that waits already.

        Returns:
            Whether it has taken another's place.
        """
        taken = self.waiting is not None
        if not taken:
            if self.wire.waiting is None:
                self.wire.waiting = deque()
            self.wire.waiting.append(self)
        self.waiting = (message, size_bits, step)
        return taken


@dataclass(frozen=True)
class Deployment:
    """What a link model needs to know of the workers.

    Attributes:
        targets: for each worker those that it sends to.
        streams: for links that differ at random.
        env: the clock, for links that can't tell an arrival when a message is sent.
        up_bps, down_bps: bandwidth of each worker's access link in bit/s, where its hardware has
            one of its own; else None.
        apart: one link object for each wire, since what happens on equal wires may differ.
    """

    targets: Sequence[Sequence[int]]
    streams: Streams
    env: simpy.Environment
    up_bps: Sequence[float | None]
    down_bps: Sequence[float | None]
    apart: bool = False


class LinkModel(Member):
    """How the links of a network carry messages.

    Class attributes:
        known: whether a message's arrival is known when it is sent.
    """

    axis: ClassVar[str] = "links"
    known: ClassVar[bool] = True

    @abstractmethod
    def build(self, deployment: Deployment) -> list[list[Link]]:
        """For each worker its directed links to all those that it sends to."""

    @abstractmethod
    def times_s(self, deployment: Deployment, size_bits: int) -> tuple[float, float]:
        """The shortest and the longest time that a message of this size takes on an idle network.

        Random delays and losses aside.
        """

    def check(self, targets: Sequence[Sequence[int]]) -> None:
        """Raises ScenarioError where the model doesn't fit a graph."""

    def losses(self) -> tuple[float, float]:
        """The probability that a message is lost, and after how long it is sent again, in s."""
        return 0.0, 1.0
