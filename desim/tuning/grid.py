"""A search on a logarithmic grid, in two stages, and what it looks for.

A coarse grid first, then a finer one on both sides of its best point, as many points for every
algorithm. Where the best lies at an end of the coarse grid, the finer one reaches over that end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from statistics import fmean
from typing import NamedTuple

from desim.errors import ScenarioError


@dataclass(frozen=True)
class Grid:
    """How many points a search tries, and where.

    Attributes:
        points: of the coarse grid, its ends included; at least 3.
        refine: of the finer grid on each side of the best; 0 for none.
        low, high: the ends of the coarse grid; None for a factor below and above the scenario's.

    Raises:
        ScenarioError: they don't make a grid.
    """

    points: int = 5
    refine: int = 3
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.points < 3:
            raise ScenarioError(f"--grid = {self.points}: must be at least 3, or no best has ends")
        if self.refine < 0:
            raise ScenarioError(f"--refine = {self.refine}: must be at least 0")
        if self.low is None or self.high is None:
            return
        if not 0 < self.low < self.high < inf:
            raise ScenarioError(
                f"--range = {self.low:g},{self.high:g}: must be two positive numbers, the smaller "
                "one first, such as 0.01,10"
            )

    def coarse(self, middle: float, factor: float) -> list[float]:
        """The first points, ascending.

        Args:
            middle: the scenario's value.
            factor: where no range was asked for, it goes from middle / factor to middle * factor.
        """
        low, high = self.low or middle / factor, self.high or middle * factor
        ratio = (high / low) ** (1 / (self.points - 1))
        return [four_digits(low * ratio**k) for k in range(self.points)]

    def fine(self, coarse: Sequence[float], best: float) -> list[float]:
        """The points between the best one and its neighbours, ascending."""
        ratio = (coarse[-1] / coarse[0]) ** (1 / (self.points - 1))
        steps = [k for k in range(-self.refine, self.refine + 1) if k]
        return [four_digits(best * ratio ** (k / (self.refine + 1))) for k in steps]


def four_digits(value: float) -> float:
    """To four digits, which is finer than any grid and reads well in a scenario."""
    return float(f"{value:.4g}")


class Curve(NamedTuple):
    """A trial's training loss over time.

    Attributes:
        times_s, losses: of its evaluations.
        diverged: whether the last loss isn't finite.
    """

    times_s: Sequence[float]
    losses: Sequence[float]
    diverged: bool


@dataclass(frozen=True)
class Objective:
    """What is made small: the time to a target loss, or the loss at the end.

    Attributes:
        target: the training loss to reach, or None for the loss at the end of a trial.
        until: where the end is, in words.
    """

    target: float | None
    until: str

    @property
    def name(self) -> str:
        """Of the column that holds it."""
        return "train_loss" if self.target is None else "time_to_target_s"

    def __str__(self) -> str:
        if self.target is None:
            return f"training loss {self.until}"
        return f"time to a training loss of {self.target:g}"

    def value(self, curve: Curve) -> float:
        """Of one trial; infinite where it diverged or never reached the target.

        Between the two evaluations around the crossing the loss is taken as linear in time.
        """
        if self.target is None:
            return inf if curve.diverged else curve.losses[-1]
        before = (0.0, inf)
        for time_s, loss in zip(curve.times_s, curve.losses, strict=True):
            if loss <= self.target:
                drawn = isfinite(before[1])
                share = (before[1] - self.target) / (before[1] - loss) if drawn else 1.0
                return before[0] + share * (time_s - before[0])
            before = time_s, loss
        return inf


class Score(NamedTuple):
    """How good a candidate is; the smaller is the better, as tuples compare.

    Attributes:
        objective: the mean over seeds; infinite where a seed diverged or missed the target.
        loss: the mean over seeds of the lowest loss reached, which decides between candidates that
            are equal; infinite where a seed diverged.
    """

    objective: float
    loss: float


def score(objective: Objective, curves: Sequence[Curve]) -> Score:
    """The score of a candidate from its trials, one per seed."""
    lowest = [inf if curve.diverged else min(curve.losses) for curve in curves]
    return Score(fmean(objective.value(curve) for curve in curves), fmean(lowest))
