"""Pareto times: P(1/V > x) = (minimum / x)^index, drawn anew at every step of every worker.

Heavy tails as in Dean and Barroso 2013 ('The tail at scale'). The slowest of n takes about
minimum n^(1/index) Gamma(1 - 1/index) in the mean, exactly
minimum Gamma(n + 1) Gamma(1 - 1/index) / Gamma(n + 1 - 1/index).
"""

from math import inf
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from desim.clock.stragglers.base import Law


class Pareto(Law):
    """1/V is Pareto: mostly near the minimum, now and then very long.

    Attributes:
        index: the tail's exponent; the smaller, the heavier. The mean is finite above 1, the
            variance above 2; below 0.1 doubles don't hold the times.
        minimum: the least 1/V; seconds per sample where the cluster names no hardware.
    """

    kind: ClassVar[str] = "pareto"

    index: Annotated[float, Field(ge=0.1)] = 2.0
    minimum: Annotated[float, Field(gt=0)] = 1.0

    def speed_at(self, u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(1 - u)^(1 / index) / minimum."""
        return (1 - u) ** (1 / self.index) / self.minimum

    def mean_speed(self) -> float:
        """index / ((index + 1) minimum)."""
        return self.index / ((self.index + 1) * self.minimum)

    def mean_slowdown(self) -> float:
        """index minimum / (index - 1); infinite for an index up to 1."""
        return self.index * self.minimum / (self.index - 1) if self.index > 1 else inf
