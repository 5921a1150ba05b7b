"""What methods in rounds have in common: each round ends when the messages have arrived."""

from typing import ClassVar, Literal

from desim.algorithms.base import Algorithm
from desim.messenger import Message
from desim.worker import Waiting, Worker


class Rounds(Algorithm):
    """A method in rounds, in which workers wait for each other.

    Attributes:
        barrier: "global" (a round ends when all workers are done) or "neighbors" (each waits for
            its own neighbours only).
    """

    axis: ClassVar[str] = "algorithms"

    barrier: Literal["global", "neighbors"] = "global"

    def exchange(
        self, me: Worker, round: int, message: Message, timeout_s: float | None = None
    ) -> Waiting:
        """Sends a message to all neighbours and waits for theirs.

        Args:
            me: the worker.
            round: its number.
            message: what all neighbours get.
            timeout_s: how long to wait; None for as long as it takes.

        Returns:
            What was received, a `Received`.
        """
        me.broadcast(message, tag=round)
        return (yield from self.collect(me, round, timeout_s))

    def collect(self, me: Worker, round: int, timeout_s: float | None = None) -> Waiting:
        """Waits for the neighbours' messages of this round; one's own has been sent."""
        received = yield from me.gather(tag=round, timeout_s=timeout_s)
        if self.barrier == "global":
            yield from me.barrier()
        return received
