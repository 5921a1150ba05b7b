"""What synchronous methods have in common: each round ends with an exchange of models."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from desim.algorithms.base import Algorithm
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.tensors.received import Received
from desim.tensors.refs import Ref
from desim.worker import Waiting, Worker


class Synchronous(Algorithm):
    """A method in rounds, in which workers wait for each other.

    Attributes:
        compressor: Q, what is done to the models that are sent.
        barrier: "global" (a round ends when all workers are done) or "neighbors" (each waits for
            its own neighbours only).
        overlap: send the model before the gradient is computed instead of after it, so that the
            links work meanwhile; the model is the same.
        absent: what to do about neighbours that don't answer, crashed or slow: "wait", or "skip"
            (go on after timeout_s with those that have answered; their weights go to the own
            model). A global barrier waits for all workers that are there, then.
        timeout_s: how long to wait for neighbours after one's own part is done; with "skip".
    """

    axis: ClassVar[str] = "algorithms"

    compressor: Compressor = NoCompressor()
    barrier: Literal["global", "neighbors"] = "global"
    overlap: bool = False
    absent: Literal["wait", "skip"] = "wait"
    timeout_s: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _timeout_fits(self) -> Self:
        check_timeout(self.absent, self.timeout_s)
        return self

    @property
    def skips(self) -> bool:
        """Whether neighbours that don't answer are left out."""
        return self.absent == "skip"

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


def check_timeout(absent: str, timeout_s: float | None) -> None:
    """Raises ValueError unless a timeout is given with "skip", and only then."""
    if (absent == "skip") != (timeout_s is not None):
        raise ValueError(
            f"absent = {absent!r}, timeout_s = {timeout_s}: give a timeout_s with 'skip', and only "
            "then"
        )
