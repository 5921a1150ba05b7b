"""How many rounds have passed."""

from typing import ClassVar

from desim.metrics.base import Evaluation, Metric


class Round(Metric):
    """The mean number of local steps per worker."""

    kind: ClassVar[str] = "round"
    clock: ClassVar[bool] = True
    standard: ClassVar[int] = 1

    def value(self, evaluation: Evaluation) -> float:
        """steps / workers."""
        counts = evaluation.counts
        return counts.steps / counts.workers
