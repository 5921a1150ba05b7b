"""What synchronous methods have in common: each round ends with an exchange of models."""

from typing import ClassVar, Literal

from desim.algorithms.absence import Absence
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.tensors.received import Received
from desim.tensors.refs import Ref
from desim.worker import Waiting, Worker


class Synchronous(Absence):
    """A method in rounds, in which workers wait for each other.

    Attributes:
        compressor: Q, what is done to the models that are sent.
        barrier: "global" (a round ends when all workers are done) or "neighbors" (each waits for
            its own neighbours only).
        overlap: send the model before the gradient is computed instead of after it, so that the
            links work meanwhile; the model is the same.

    With `absent = "skip"` a global barrier waits for all workers that are there.
    """

    axis: ClassVar[str] = "algorithms"

    compressor: Compressor = NoCompressor()
    barrier: Literal["global", "neighbors"] = "global"
    overlap: bool = False

    def exchange(self, me: Worker, round: int, x: Ref, computing: Waiting) -> Waiting:
        """Computes, sends Q(x) and waits for the neighbours.

        Args:
            me: the worker.
            round: its number.
            x: the worker's model.
            computing: what `me.compute` or `me.compute_until` gives.

        Returns:
            What was computed, and what was received.
        """
        if self.overlap:
            me.broadcast((yield from me.compress(x, self.compressor)), tag=round)
        computed = yield from computing
        if not self.overlap:
            me.broadcast((yield from me.compress(x, self.compressor)), tag=round)
        received: Received = yield from me.gather(tag=round, timeout_s=self.timeout_s)
        if self.barrier == "global":
            yield from me.barrier()
        return computed, received
