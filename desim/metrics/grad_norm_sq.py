"""The squared norm of the full gradient."""

from typing import ClassVar

from desim.metrics.base import Evaluation, Metric
from desim.schema.results import Good


class GradNormSq(Metric):
    """||gradient||^2 of the objective at the mean model, over all training data."""

    kind: ClassVar[str] = "grad-norm-sq"
    title: ClassVar[str] = "squared gradient norm"
    good: ClassVar[Good | None] = "low"
    standard: ClassVar[int] = 8

    def value(self, evaluation: Evaluation) -> float:
        """In double precision."""
        return float(evaluation.training[1].double().square().sum())
