"""The end when a metric has reached a value."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from desim.metrics.base import Metric, Row
from desim.stops.base import StopRule


class Target(StopRule):
    """Ends a trial at the evaluation that finds a metric at a value or past it: `target` in [stop].

    Attributes:
        metric: what is looked at; it is measured if it wasn't anyway.
        value: what it must reach.
        when: "below" (at most the value) or "above" (at least); left out, the metric's good
            direction.
    """

    kind: ClassVar[str] = "target"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"metric": "train-loss", "value": 0.5},
        {"metric": "bits-sent", "value": 1e5, "when": "above"},
    )

    metric: Metric
    value: float
    when: Literal["below", "above"] | None = None

    @model_validator(mode="after")
    def _has_a_direction(self) -> Self:
        if self.when is None and self.metric.good is None:
            raise ValueError(
                f"metric = {self.metric.name!r}: neither low nor high is good; give when = 'above' "
                "or 'below'"
            )
        return self

    @property
    def name(self) -> str:
        """`target_` and the metric's column."""
        return f"target_{self.metric.name}"

    def metrics(self) -> tuple[Metric, ...]:
        """The metric that it looks at."""
        return (self.metric,)

    @property
    def above(self) -> bool:
        """Whether large values reach it."""
        return self.when == "above" or (self.when is None and self.metric.good == "high")

    def reached(self, rows: Sequence[Row]) -> bool:
        """Whether the newest value is at the target or past it; nan never is."""
        value = rows[-1][self.metric.name]
        return value >= self.value if self.above else value <= self.value
