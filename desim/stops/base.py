"""What a rule that ends a trial is."""

from collections.abc import Sequence
from math import inf
from typing import ClassVar

from desim.metrics.base import Metric, Row
from desim.schema.registry import Member


class StopRule(Member):
    """Ends a trial: at a time, after so many local steps, or by what evaluations have found."""

    axis: ClassVar[str] = "stops"

    @property
    def name(self) -> str:
        """What a trial's manifest says of why it ended: the kind, or a class of your own's name."""
        return str(type(self).__dict__.get("kind", type(self).__name__))

    def at_time_s(self) -> float:
        """The simulated time at which it ends a trial; inf for none."""
        return inf

    def at_steps(self, workers: int) -> float:
        """The number of local steps, over all workers, that ends a trial; inf for none."""
        return inf

    def metrics(self) -> tuple[Metric, ...]:
        """What it looks at, to be measured."""
        return ()

    def reached(self, rows: Sequence[Row]) -> bool:
        """Whether a trial ends now; asked after each evaluation.

        Args:
            rows: all evaluations so far, the newest last; `row["train_loss"]` is the value of a
                metric by the name of its column, nan where it isn't measured.
        """
        return False
