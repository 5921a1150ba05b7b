"""What synchronous methods have in common that average models, with or without the absent."""

from typing import ClassVar

from desim.algorithms.absence import Absence
from desim.algorithms.rounds import Rounds
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.tensors.refs import Ref
from desim.worker import Waiting, Worker


class Synchronous(Absence, Rounds):
    """A method in rounds that averages models.

    Attributes:
        compressor: Q, what is done to the models that are sent.
        overlap: send the model before the gradient is computed instead of after it, so that the
            links work meanwhile; the model is the same.

    With `absent = "skip"` a global barrier waits for all workers that are there.
    """

    axis: ClassVar[str] = "algorithms"

    compressor: Compressor = NoCompressor()
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
