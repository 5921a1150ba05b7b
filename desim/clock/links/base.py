"""What a link is: it carries messages one after another and says when each arrives."""

from abc import abstractmethod
from collections import deque
from typing import Any, ClassVar, NamedTuple

from desim.registry import Member
from desim.streams import Streams


class Passage(NamedTuple):
    """The times of one message on one link, in simulated seconds."""

    departs_s: float
    left_s: float
    arrives_s: float


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
    """A directed link; a subclass says how long a message takes.

    Attributes:
        source, target: worker numbers.
        position: the source's place among the target's neighbours.
        mailboxes: the target's mailboxes by tag, shared by all links into it.
        newest: the newest message that has arrived, for asynchronous receivers.
        posted: the newest message handed to the link, arrived or not.
        flying: (arrival, message) of those on the way, in order.
        waiting: (message, bits, tag) that a busy link will send next, or None.
    """

    __slots__ = (
        "flying",
        "mailboxes",
        "newest",
        "position",
        "posted",
        "source",
        "target",
        "waiting",
    )

    def __init__(self, source: int, target: int) -> None:
        self.source, self.target = source, target
        self.position = -1
        self.mailboxes: dict[Any, Mailbox] = {}
        self.newest: Any = None
        self.posted: Any = None
        self.flying: deque[tuple[float, Any]] = deque()
        self.waiting: tuple[Any, int, int] | None = None

    def carry(self, now_s: float, size_bits: int) -> Passage:
        """Takes a message at now_s; it goes out when those before it have left."""
        raise NotImplementedError("abstract")

    def free_at(self) -> float:
        """When the link can begin to send another message, in simulated seconds."""
        raise NotImplementedError("abstract")


class LinkModel(Member):
    """How the links of a network carry messages."""

    axis: ClassVar[str] = "links"

    @abstractmethod
    def build(self, source: int, target: int, streams: Streams) -> Link:
        """The directed link from source to target."""

    @abstractmethod
    def times_s(self, size_bits: int) -> tuple[float, float]:
        """The shortest and the longest time that a message of this size takes on an idle link."""
