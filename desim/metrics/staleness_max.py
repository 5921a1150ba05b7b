"""How old the oldest gradient was when it was applied."""

from typing import ClassVar

from desim.metrics.base import Evaluation, Metric
from desim.schema.results import Good


class StalenessMax(Metric):
    """The largest age of a gradient applied, in updates of the model since its beginning."""

    kind: ClassVar[str] = "staleness-max"
    title: ClassVar[str] = "largest staleness"
    good: ClassVar[Good | None] = "low"
    clock: ClassVar[bool] = True

    def value(self, evaluation: Evaluation) -> float:
        """Since the beginning; 0 before the first."""
        return evaluation.counts.staleness_largest
