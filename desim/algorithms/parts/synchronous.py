"""What synchronous methods have in common whose messages don't depend on the gradient."""

from typing import ClassVar

from desim.algorithms.parts.averaging import Averaging
from desim.tensors.refs import Ref
from desim.worker.protocol import Waiting, Worker


class Synchronous(Averaging):
    """A method in rounds that averages models while, or after, it computes a gradient at its own.

    Attributes:
        overlap: send the model before the gradient is computed instead of after it, so that the
            links work meanwhile; the model is the same.
    """

    axis: ClassVar[str] = "algorithms"

    overlap: bool = False

    def compute_and_exchange(self, me: Worker, round: int, x: Ref, computing: Waiting) -> Waiting:
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
        return computed, (yield from self.collect(me, round, self.timeout_s))
