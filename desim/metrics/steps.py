"""How many local steps were made."""

from typing import ClassVar

from desim.metrics.base import Evaluation, Metric


class Steps(Metric):
    """Local steps over all workers."""

    kind: ClassVar[str] = "steps"
    title: ClassVar[str] = "local steps"
    clock: ClassVar[bool] = True
    standard: ClassVar[int] = 2

    def value(self, evaluation: Evaluation) -> float:
        """A server's updates are none."""
        return evaluation.counts.steps
