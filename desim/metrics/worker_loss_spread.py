"""How unequal the workers' models are."""

from typing import ClassVar

from desim.metrics.base import Evaluation, Metric
from desim.schema.results import Good


class WorkerLossSpread(Metric):
    """The largest minus the smallest training loss of the workers' own models."""

    kind: ClassVar[str] = "worker-loss-spread"
    title: ClassVar[str] = "spread of the workers' losses"
    good: ClassVar[Good | None] = "low"

    def value(self, evaluation: Evaluation) -> float:
        """Over all training data; as costly as an evaluation of every worker."""
        losses = evaluation.training_losses
        return max(losses) - min(losses)
