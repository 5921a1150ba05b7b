"""What a metric is, and what it sees of a trial at one moment."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from desim.errors import SimulationError
from desim.schema.phrases import in_words, suggest
from desim.schema.registry import Member
from desim.schema.results import Column, Good
from desim.tensors.evaluation import loss_and_gradient, mean_and_spread, tested, training_loss
from desim.tensors.problem import Task
from desim.tensors.store import Rows, Store

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Counts:
    """How far a trial is.

    Attributes:
        time_s: simulated time.
        workers: how many there are, the server aside.
        steps: local steps over all workers.
        samples: samples whose gradients have been computed.
        gradients, empty: how many gradients that were, and how many had no samples.
        bits_sent: over all links.
        applied: gradients that have been applied; of a method with a server, by it.
        staleness_total, staleness_largest: the sum and the largest of their ages, in updates of
            the model between the beginning of the computation and the application.
    """

    time_s: float
    workers: int
    steps: int
    samples: int
    gradients: int
    empty: int
    bits_sent: int
    applied: int
    staleness_total: int
    staleness_largest: int


@dataclass(frozen=True)
class EvaluatedModels:
    """The models that are evaluated: the server's, or those of the workers that are there.

    Attributes:
        store, rows: where they are.
        task: the problem.
    """

    store: Store
    rows: Rows
    task: Task


class Evaluation:
    """A trial at one moment: counts, models and data.

    What several metrics need is computed once, and only if one of them asks for it.

    Args:
        counts: how far the trial is.
        models: None in a run of the clock alone.

    Attributes:
        counts: how far the trial is.
    """

    def __init__(self, counts: Counts, models: EvaluatedModels | None = None) -> None:
        self.counts, self._models = counts, models

    @property
    def _known(self) -> EvaluatedModels:
        if self._models is None:
            raise SimulationError(
                "a metric with clock = True may look at evaluation.counts only: without training "
                "there are no models"
            )
        return self._models

    @property
    def task(self) -> Task:
        """The problem: data, loss and who holds what."""
        return self._known.task

    @property
    def models(self) -> Tensor:
        """The evaluated models, (workers, parameters): a copy, which may be changed."""
        return self._known.store.data[self._known.store.index(self._known.rows)].clone()

    @property
    def mean(self) -> Tensor:
        """The mean of these models, (parameters,): a copy, which may be changed."""
        return self._mean_and_spread[0].clone()

    @property
    def spread(self) -> float:
        """(1/n) sum_i ||x_i - mean||^2."""
        return self._mean_and_spread[1]

    @cached_property
    def _mean_and_spread(self) -> tuple[Tensor, float]:
        return mean_and_spread(self._known.store, self._known.rows)

    @cached_property
    def training(self) -> tuple[float, Tensor]:
        """The objective at the mean model over all training data, and its gradient."""
        return loss_and_gradient(self.task, self._mean_and_spread[0])

    @cached_property
    def test(self) -> tuple[float, float]:
        """Loss and accuracy of the mean model on the test data; nan where there is none."""
        return tested(self.task, self._mean_and_spread[0])

    @cached_property
    def training_losses(self) -> list[float]:
        """The objective at each evaluated model over all training data."""
        return [training_loss(self.task, row) for row in self.models]

    @cached_property
    def tests(self) -> list[tuple[float, float]]:
        """Loss and accuracy of each evaluated model on the test data."""
        return [tested(self.task, row) for row in self.models]


@dataclass(frozen=True)
class Row:
    """What one evaluation found.

    Attributes:
        time_s: simulated time.
        values: by column.
    """

    time_s: float
    values: Mapping[str, float]

    def __getitem__(self, name: str) -> float:
        """The value of a metric by its column's name or its kind; nan without training.

        Raises:
            SimulationError: it isn't measured.
        """
        try:
            return self.values[name.replace("-", "_")]
        except KeyError:
            raise SimulationError(
                f"row[{name!r}]: isn't measured (a stop rule names what it needs in `metrics`); "
                f"{suggest(name, list(self.values))}"
            ) from None

    @property
    def steps(self) -> int:
        """Local steps over all workers."""
        return int(self.values["steps"])

    @property
    def round(self) -> float:
        """Mean number of local steps."""
        return self.values["round"]

    @property
    def samples(self) -> int:
        """Samples whose gradients have been computed."""
        return int(self.values["samples"])

    @property
    def bits_sent(self) -> int:
        """Bits over all links."""
        return int(self.values["bits_sent"])


class Metric(Member):
    """A number that tells how a trial is doing: a column of the results.

    Class attributes:
        title: what it is called in tables and on axes; left out, its name in words.
        unit: of the number; empty for a pure one.
        good: "low" or "high", or None where neither is: nothing can be compared or aimed at then.
        clock: whether it is measured without training, too: from counts alone.
        standard: its place among those that every trial measures; 0 where it must be asked for.
            Neither this nor the title is inherited.

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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.good not in (None, "low", "high"):
            raise TypeError(f"{cls.__name__}.good = {cls.good!r}: must be 'low', 'high' or None")

    @property
    def name(self) -> str:
        """Of its column: `test-accuracy` is `test_accuracy`, `MyMetric` is `my_metric`."""
        own = type(self).__dict__.get("kind") or in_words(type(self).__name__)
        return re.sub(r"\W+", "_", self.label or own)

    def column(self) -> Column:
        """Its column in the results."""
        title = self.label or vars(type(self)).get("title") or self.name.replace("_", " ")
        standard = not self.label and vars(type(self)).get("standard", 0) > 0
        return Column(self.name, title, self.unit, self.good, self.clock, standard)

    @abstractmethod
    def value(self, evaluation: Evaluation) -> float:
        """The number at one evaluation; nan where there is nothing to measure.

        A metric with `clock` looks at nothing but `evaluation.counts`.
        """
