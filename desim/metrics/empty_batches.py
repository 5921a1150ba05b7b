"""How many batches are empty."""

from math import nan
from typing import ClassVar

from desim.metrics.base import Evaluation, Metric
from desim.schema.results import Good


class EmptyBatches(Metric):
    """The share of gradients without a sample: of workers that got through none by a deadline."""

    kind: ClassVar[str] = "empty-batches"
    title: ClassVar[str] = "share of empty batches"
    good: ClassVar[Good | None] = "low"
    clock: ClassVar[bool] = True

    def value(self, evaluation: Evaluation) -> float:
        """Since the beginning; nan before the first gradient."""
        counts = evaluation.counts
        return counts.empty / counts.gradients if counts.gradients else nan
