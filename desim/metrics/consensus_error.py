"""How far the workers' models are apart."""

from typing import ClassVar

from desim.metrics.base import Evaluation, Metric
from desim.schema.results import Good


class ConsensusError(Metric):
    """(1/n) sum_i ||x_i - mean||^2: how far the workers' models are apart."""

    kind: ClassVar[str] = "consensus-error"
    good: ClassVar[Good | None] = "low"
    standard: ClassVar[int] = 9

    def value(self, evaluation: Evaluation) -> float:
        """0 for a server's one model."""
        return evaluation.spread
