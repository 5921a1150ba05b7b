"""How much was sent."""

from typing import ClassVar

from desim.metrics.base import Evaluation, Metric


class BitsSent(Metric):
    """Bits handed to all links."""

    kind: ClassVar[str] = "bits-sent"
    title: ClassVar[str] = "bits sent"
    unit: ClassVar[str] = "bit"
    clock: ClassVar[bool] = True
    standard: ClassVar[int] = 4

    def value(self, evaluation: Evaluation) -> float:
        """As the network counts them."""
        return evaluation.counts.bits_sent
