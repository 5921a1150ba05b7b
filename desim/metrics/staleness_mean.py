"""How old gradients are when they are applied."""

from math import nan
from typing import ClassVar

from desim.metrics.base import Evaluation, Metric
from desim.schema.results import Good


class StalenessMean(Metric):
    """The mean age of the gradients applied, in updates of the model since their beginning."""

    kind: ClassVar[str] = "staleness-mean"
    title: ClassVar[str] = "mean staleness"
    good: ClassVar[Good | None] = "low"
    clock: ClassVar[bool] = True

    def value(self, evaluation: Evaluation) -> float:
        """Since the beginning; nan before the first is applied."""
        counts = evaluation.counts
        return counts.staleness_total / counts.applied if counts.applied else nan
