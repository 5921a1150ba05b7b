"""The worst worker's test accuracy."""

from typing import ClassVar

from desim.metrics.base import Evaluation, Metric
from desim.schema.results import Good


class WorstWorkerAccuracy(Metric):
    """The smallest test accuracy of a worker's own model."""

    kind: ClassVar[str] = "worst-worker-accuracy"
    title: ClassVar[str] = "worst worker's test accuracy"
    good: ClassVar[Good | None] = "high"

    def value(self, evaluation: Evaluation) -> float:
        """As costly as an evaluation of every worker; nan where targets aren't classes."""
        return min(accuracy for _, accuracy in evaluation.tests)
