"""A logarithmic grid, in two stages.

A coarse grid first, then a finer one on both sides of its best point, as many points for every
algorithm. Where the best lies at an end of the coarse grid, the finer one reaches over that end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

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
    """A number with four significant digits: finer than any grid, and short in a scenario."""
    return float(f"{value:.4g}")
