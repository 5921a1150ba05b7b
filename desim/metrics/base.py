"""What a metric is."""

import re
from abc import abstractmethod
from typing import ClassVar

from desim.metrics.evaluation import Evaluation
from desim.schema.registry import Member
from desim.schema.results import Column, Good


class Metric(Member):
    """A number that tells how a trial is doing: a column of the results.

    Class attributes:
        title: what it is called in tables and on axes; left out, its name in words.
        unit: of the number; empty for a pure one.
        good: "low" or "high", or None where neither is: nothing can be compared or aimed at then.
        clock: whether it is measured without training, too: from counts alone.
        standard: its place among those that every trial measures; 0 where it must be asked for.

    Attributes:
        label: its name in the results; left out, its kind, or the name of a class of your own.
    """

    axis: ClassVar[str] = "metrics"
    title: ClassVar[str] = ""
    unit: ClassVar[str] = ""
    good: ClassVar[Good | None] = None
    clock: ClassVar[bool] = False
    standard: ClassVar[int] = 0

    label: str = ""

    @property
    def name(self) -> str:
        """Of its column: `test-accuracy` is `test_accuracy`, `MyMetric` is `my_metric`."""
        own = type(self).__dict__.get("kind") or _in_words(type(self).__name__)
        return re.sub(r"\W+", "_", self.label or own)

    def column(self) -> Column:
        """Its column in the results."""
        title = self.label or self.title or self.name.replace("_", " ")
        return Column(self.name, title, self.unit, self.good, self.clock)

    @abstractmethod
    def value(self, evaluation: Evaluation) -> float:
        """The number at one evaluation; nan where there is nothing to measure.

        A metric with `clock` looks at nothing but `evaluation.counts`.
        """


def _in_words(name: str) -> str:
    """`WorstLoss` as `worst-loss`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()
