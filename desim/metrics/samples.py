"""How many samples were used."""

from typing import ClassVar

from desim.metrics.base import Evaluation, Metric


class Samples(Metric):
    """Samples whose gradients have been computed, over all workers."""

    kind: ClassVar[str] = "samples"
    clock: ClassVar[bool] = True
    standard: ClassVar[int] = 3

    def value(self, evaluation: Evaluation) -> float:
        """Those of gradients that were computed, whether applied or not."""
        return evaluation.counts.samples
