"""What a search makes as good as it can: a metric at a time, or the time to a value of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite, nan
from statistics import fmean
from typing import NamedTuple

from desim.schema.results import Column


class Curve(NamedTuple):
    """A metric of one trial over time.

    Attributes:
        times_s, values: of its evaluations.
        diverged: whether the trial's last training loss isn't finite.
    """

    times_s: Sequence[float]
    values: Sequence[float]
    diverged: bool


@dataclass(frozen=True)
class Objective:
    """What is looked for: the earliest time at a target, or the best value at the end.

    Attributes:
        column: the metric.
        above: whether large values of it are the good ones.
        target: the value to reach, or None for the value at the end of a trial.
        until: where the end is, in words.
    """

    column: Column
    above: bool
    target: float | None
    until: str

    def __str__(self) -> str:
        if self.target is None:
            return f"{self.column.title} {self.until}"
        return f"time to a {self.column.title} of {self.target:g}"

    @property
    def sign(self) -> float:
        """What makes small values of the metric the good ones."""
        return -1.0 if self.above else 1.0

    def cost(self, curve: Curve) -> float:
        """Of one trial, the smaller the better; inf where it diverged or missed the target.

        The time to the target, or `sign` times the metric at the end. Between the two evaluations
        around the crossing the metric is taken as linear in time.
        """
        if self.target is None:
            last = curve.values[-1]
            return inf if curve.diverged or not isfinite(last) else self.sign * last
        before_s, before = 0.0, inf
        target = self.sign * self.target
        for time_s, value in zip(curve.times_s, curve.values, strict=True):
            now = self.sign * value
            if now <= target:
                share = (before - target) / (before - now) if isfinite(before) else 1.0
                return before_s + share * (time_s - before_s)
            before_s, before = time_s, now
        return inf

    def shown(self, cost: float) -> float:
        """A cost as people know it: a time, or a value of the metric; inf where all failed."""
        return cost if self.target is not None or not isfinite(cost) else self.sign * cost

    def best(self, curve: Curve) -> float:
        """The best value that a trial came to, finite ones only; nan where there is none."""
        known = [value for value in curve.values if isfinite(value)]
        return (max if self.above else min)(known, default=nan)


class Score(NamedTuple):
    """How good a candidate is; the smaller is the better, as tuples compare.

    Attributes:
        cost: the mean over seeds of the objective's cost; inf where a seed diverged or missed the
            target.
        best: the mean over seeds of the best value reached, with the objective's sign: it decides
            between candidates that are equal; inf where a seed diverged.
    """

    cost: float
    best: float


def score(objective: Objective, curves: Sequence[Curve]) -> Score:
    """The score of a candidate from its trials, one per seed."""
    best = [objective.sign * objective.best(curve) for curve in curves]
    best = [
        inf if curve.diverged or not isfinite(value) else value
        for curve, value in zip(curves, best, strict=True)
    ]
    return Score(fmean(map(objective.cost, curves)), fmean(best))
