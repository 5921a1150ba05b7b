"""What a link is: it carries messages one after another and says when each arrives."""

from abc import abstractmethod
from array import array
from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar

from desim.registry import Member
from desim.streams import Streams

#: When a message departs, has left its link and arrives, in simulated seconds.
Passage = tuple[float, float, float]


class Mailbox:
    """What has been sent to one worker under one tag.

    Attributes:
        messages: by the receiver's neighbour number; None until it was sent.
        missing: how many neighbours have not sent yet.
        complete_s: when the last of those sent so far arrives.
        waiter: called with the mailbox once the last message has been sent.
    """

    __slots__ = ("complete_s", "messages", "missing", "waiter")

    def __init__(self, neighbours: int) -> None:
        self.messages: list[Any] = [None] * neighbours
        self.missing = neighbours
        self.complete_s = 0.0
        self.waiter: Any = None


class Link:
    """Equal directed links from one worker to some of its neighbours, each a wire of its own.

    A worker always sends to all its neighbours at once, so wires with equal properties are in the
    same state at all times and one object stands for all of them. A subclass says how long a
    message takes.

    Attributes:
        source: the sender's number.
        targets: the receivers' numbers.
        ends: for each target its mailboxes by tag, the source's place among its neighbours, and
            the number of those.
        newest: the newest message that has arrived, for asynchronous receivers.
        posted: the newest message handed to the links, arrived or not.
        flying: (arrival, message) of those on the way, in order.
        waiting: (message, bits, step) that busy links will send next, or None.
    """

    __slots__ = ("ends", "flying", "newest", "posted", "source", "targets", "waiting")

    def __init__(self, source: int, targets: Sequence[int]) -> None:
        self.source = source
        self.targets = array("i", targets)
        self.ends: list[tuple[dict[int, Mailbox], int, int]] = []
        self.newest: Any = None
        self.posted: Any = None
        self.flying: deque[tuple[float, Any]] = deque()
        self.waiting: tuple[Any, int, int] | None = None

    def carry(self, now_s: float, size_bits: int) -> Passage:
        """Takes a message for each target at now_s; it goes out when those before it have left."""
        raise NotImplementedError("abstract")

    def land(self, now_s: float) -> None:
        """Keeps only the newest of the messages that have arrived."""
        while self.flying and self.flying[0][0] <= now_s:
            self.newest = self.flying.popleft()[1]

    def free_at(self) -> float:
        """When the links can begin to send another message, in simulated seconds."""
        raise NotImplementedError("abstract")


class LinkModel(Member):
    """How the links of a network carry messages."""

    axis: ClassVar[str] = "links"

    @abstractmethod
    def build(self, source: int, targets: Sequence[int], streams: Streams) -> list[Link]:
        """The directed links from source to its neighbours, equal ones in one object."""

    @abstractmethod
    def times_s(self, size_bits: int) -> tuple[float, float]:
        """The shortest and the longest time that a message of this size takes on an idle link."""
