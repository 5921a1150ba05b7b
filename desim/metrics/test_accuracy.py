"""The test accuracy."""

from typing import ClassVar

from desim.metrics.base import Evaluation, Metric
from desim.schema.results import Good


class TestAccuracy(Metric):
    """The share of test data that the mean model classifies rightly."""

    kind: ClassVar[str] = "test-accuracy"
    good: ClassVar[Good | None] = "high"
    standard: ClassVar[int] = 7

    def value(self, evaluation: Evaluation) -> float:
        """nan where targets aren't classes."""
        return evaluation.test[1]
