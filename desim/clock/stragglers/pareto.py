"""Pareto times: P(1/V > x) = (minimum / x)^index, drawn at every step of every worker.

Heavy tails as in Dean and Barroso 2013 ('The tail at scale'). The slowest of n takes about
minimum n^(1/index) Gamma(1 - 1/index) in the mean, exactly
minimum Gamma(n + 1) Gamma(1 - 1/index) / Gamma(n + 1 - 1/index). Its fit is that of Johnson, Kotz,
Balakrishnan 1994 ('Continuous univariate distributions', chapter 20).
"""

from math import inf, log
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field

from desim.clock.stragglers.base import Fittable, Law, Numbers


class Pareto(Law, Fittable):
    """1/V is Pareto: mostly near the minimum, now and then very long.

    Attributes:
        index: the tail's exponent; the smaller, the heavier. The mean is finite above 1, the
            variance above 2; below 0.1 doubles don't hold the times.
        minimum: the least 1/V; seconds per sample where the cluster names no hardware.
    """

    kind: ClassVar[str] = "pareto"
    ends: ClassVar[tuple[str, ...]] = ("minimum",)

    index: Annotated[float, Field(ge=0.1)] = 2.0
    minimum: Annotated[float, Field(gt=0)] = 1.0

    def speed_at(self, u: Numbers) -> Numbers:
        """(1 - u)^(1 / index) / minimum."""
        return (1 - u) ** (1 / self.index) / self.minimum

    @classmethod
    def fitted(cls, x: Numbers) -> Self:
        """minimum = min(x), index = n / sum ln(x / minimum)."""
        minimum = float(x.min())
        return cls(minimum=minimum, index=float(1 / np.log(x / minimum).mean()))

    def log_density(self, x: Numbers) -> Numbers:
        """ln index - index ln(x / minimum) - ln x from the minimum on."""
        inside = log(self.index) - self.index * np.log(x / self.minimum) - np.log(x)
        return np.where(x >= self.minimum, inside, -inf)

    def cdf(self, x: Numbers) -> Numbers:
        """1 - (minimum / x)^index from the minimum on."""
        return -np.expm1(-self.index * np.log(np.maximum(x / self.minimum, 1)))

    def mean_speed(self) -> float:
        """index / ((index + 1) minimum)."""
        return self.index / ((self.index + 1) * self.minimum)

    def mean_slowdown(self) -> float:
        """index minimum / (index - 1); infinite for an index up to 1."""
        return self.index * self.minimum / (self.index - 1) if self.index > 1 else inf
