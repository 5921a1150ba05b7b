"""The training loss."""

from typing import ClassVar

from desim.metrics.base import Evaluation, Metric
from desim.schema.results import Good


class TrainLoss(Metric):
    """The objective at the mean model, over all training data."""

    kind: ClassVar[str] = "train-loss"
    title: ClassVar[str] = "training loss"
    good: ClassVar[Good | None] = "low"
    standard: ClassVar[int] = 5

    def value(self, evaluation: Evaluation) -> float:
        """Its regulariser included."""
        return evaluation.training[0]
