"""How many samples a round takes."""

from math import nan
from typing import ClassVar

from desim.metrics.base import Evaluation, Metric


class SamplesPerRound(Metric):
    """Samples of all workers' gradients per round."""

    kind: ClassVar[str] = "samples-per-round"
    title: ClassVar[str] = "samples per round"
    clock: ClassVar[bool] = True

    def value(self, evaluation: Evaluation) -> float:
        """Since the beginning; nan before the first local step."""
        counts = evaluation.counts
        return counts.samples * counts.workers / counts.steps if counts.steps else nan
