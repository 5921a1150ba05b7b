"""The tables of a scenario that say when a trial is evaluated and when it ends."""

from math import inf
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from desim.metrics.base import Metric
from desim.schema.registry import Table, members
from desim.schema.results import INDEX
from desim.stops.base import StopRule
from desim.stops.rounds import RoundLimit
from desim.stops.steps import StepLimit
from desim.stops.target import Target
from desim.stops.time import TimeLimit

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


def _without_kind(value: Any) -> Any:
    """A target as a table, as results hold it, has a kind, which the key says already."""
    if isinstance(value, dict) and value.get("kind") == "target":
        return {key: item for key, item in value.items() if key != "kind"}
    return value


#: What a rule says of its limits.
_LIMITS = ("at_time_s", "at_steps")


def _limit(rule: StopRule, name: str) -> float:
    """A limit that a rule sets; one of your own may say anything."""
    value: Any = rule.at_time_s() if name == "at_time_s" else rule.at_steps(2)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not value > 0:
        raise ValueError(
            f"rules = {rule.table()}: {name} gives {value!r}; must be a positive number, inf for "
            "none"
        )
    if not all(isinstance(metric, Metric) for metric in rule.metrics()):
        raise ValueError(f"rules = {rule.table()}: `metrics` must give metrics, desim.Metric")
    return float(value)


class Stop(Table):
    """When a trial ends: at the first of these that is reached.

    Attributes:
        time_s: simulated seconds.
        rounds: mean number of local steps per worker.
        steps: local steps over all workers.
        target: a value that a metric reaches, such as {metric = "test-accuracy", value = 0.85};
            looked at when the model is evaluated.
        target_train_loss: the same for the training loss.
        rules: further rules (`desim list stops`, or one of your own).
    """

    time_s: Positive | None = None
    rounds: Count | None = None
    steps: Count | None = None
    target: Annotated[Target, BeforeValidator(_without_kind)] | None = None
    target_train_loss: float | None = None
    rules: Annotated[tuple[StopRule, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _ends(self) -> Self:
        certain = [_limit(rule, name) for rule in self.all_rules() for name in _LIMITS]
        if min(certain, default=inf) == inf:
            raise ValueError(
                "must have time_s, rounds or steps, since a target may never be reached"
            )
        if self.target is not None and self.target_train_loss is not None:
            raise ValueError(
                f"target_train_loss = {self.target_train_loss:g}: give it or target; a second "
                "target can stand in rules"
            )
        return self

    def the_target(self) -> Target | None:
        """`target`, or what `target_train_loss` stands for."""
        if self.target_train_loss is not None:
            return Target(metric=Metric.parse("train-loss"), value=self.target_train_loss)
        return self.target

    def all_rules(self) -> tuple[StopRule, ...]:
        """All rules, also those that keys stand for."""
        rules: list[StopRule] = []
        if self.steps is not None:
            rules.append(StepLimit(steps=self.steps))
        if self.rounds is not None:
            rules.append(RoundLimit(rounds=self.rounds))
        if self.time_s is not None:
            rules.append(TimeLimit(time_s=self.time_s))
        target = self.the_target()
        return (*rules, *([target] if target else []), *self.rules)


class Evaluate(Table):
    """When the mean model is evaluated, besides the beginning and the end; and how.

    Attributes:
        every_s: simulated seconds between evaluations.
        every_rounds: mean local steps between evaluations.
        iterate: "last" (the workers' models as they are) or "average" (of each worker the mean of
            its models after steps 1 to t, which theorems for convex losses speak of).
            Gradient norm and consensus error are then those of these means, too.
        metrics: what is measured besides the standard ones (`desim list metrics`), such as
            ["worst-worker-loss"].
        optimum: also find the smallest training loss, by L-BFGS: `optimal_loss` in each trial's
            manifest. The report then draws how far the losses are from it. Not done by `tune`.
    """

    every_s: Positive | None = None
    every_rounds: Count | None = None
    iterate: Literal["last", "average"] = "last"
    metrics: Annotated[tuple[Metric, ...], Field(strict=False)] = ()
    optimum: bool = False

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.every_s is None) == (self.every_rounds is None):
            raise ValueError(
                f"every_s = {self.every_s}, every_rounds = {self.every_rounds}: give exactly one"
            )
        return self


def measured(evaluate: Evaluate, stop: Stop) -> tuple[Metric, ...]:
    """All that a trial measures: the standard metrics, those asked for, and those of its stops.

    Raises:
        ValueError: two of them would have the same column.
    """
    classes = [cls for cls in members("metrics").values() if issubclass(cls, Metric)]
    standard = sorted((cls() for cls in classes if cls.standard), key=lambda one: one.standard)
    found = {metric.name: metric for metric in standard}
    for metric in (*evaluate.metrics, *(m for rule in stop.all_rules() for m in rule.metrics())):
        if metric.name in INDEX or found.setdefault(metric.name, metric) != metric:
            raise ValueError(
                f"metrics = {metric.table()}: the results have another column {metric.name!r}; "
                "give it a label of its own"
            )
    return tuple(found.values())
