"""The test loss."""

from typing import ClassVar

from desim.metrics.base import Evaluation, Metric
from desim.schema.results import Good


class TestLoss(Metric):
    """The mean model's loss on the test data, without the regulariser."""

    kind: ClassVar[str] = "test-loss"
    good: ClassVar[Good | None] = "low"
    standard: ClassVar[int] = 6

    def value(self, evaluation: Evaluation) -> float:
        """nan where there is no test data."""
        return evaluation.test[0]
