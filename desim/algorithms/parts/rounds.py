"""What methods in rounds have in common: each round ends when the messages have arrived."""

from typing import ClassVar, Literal

from desim.algorithms.base import Algorithm
from desim.tensors.received import Received
from desim.tensors.refs import Ref
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker


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
        yield from self.meet(me)
        return received

    def meet(self, me: Worker) -> Waiting:
        """Waits for all workers at the end of a round, where the barrier is global."""
        if self.barrier == "global":
            yield from me.barrier()

    def keeping_mean(self, me: Worker, own: Ref, sent: Ref, received: Received) -> Waiting:
        """Gives own + sum_j w_ij (received_j - sent), which is W own if compression loses nothing.

        Unlike `me.mix(own, received)` it leaves the mean over all workers as it is whatever
        compression loses: for vectors whose mean an algorithm relies on.

        Args:
            me: the worker.
            own: its vector.
            sent: what has arrived of it at the neighbours.
            received: theirs.
        """
        return own + ((yield from me.mix(sent, received)) - sent)
