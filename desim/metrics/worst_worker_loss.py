"""The worst worker's training loss."""

from typing import ClassVar

from desim.metrics.base import Evaluation, Metric
from desim.schema.results import Good


class WorstWorkerLoss(Metric):
    """The largest training loss of a worker's own model, over all training data."""

    kind: ClassVar[str] = "worst-worker-loss"
    title: ClassVar[str] = "worst worker's training loss"
    good: ClassVar[Good | None] = "low"

    def value(self, evaluation: Evaluation) -> float:
        """As costly as an evaluation of every worker."""
        return max(evaluation.training_losses)
