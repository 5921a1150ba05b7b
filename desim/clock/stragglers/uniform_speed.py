"""Uniform speed: V ~ U(low, high), drawn at every step of every worker.

The straggler model of Reisizadeh et al. 2019 (V ~ U(10, 90) samples per unit of time). Workers
differ only in noise: none is slow for long, unless `persistent`. The density of x = 1/V is
1 / ((high - low) x^2) on [1 / high, 1 / low].
"""

from math import inf, log, log1p
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from desim.clock.stragglers.base import Fittable, Law, Numbers


class UniformSpeed(Law, Fittable):
    """V ~ U(low, high).

    Attributes:
        low: the lowest speed, positive: a factor on the hardware's, or samples/s where the cluster
            names no hardware.
        high: the highest speed, at least low.
    """

    kind: ClassVar[str] = "uniform-speed"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"low": 10.0, "high": 90.0},
        {"low": 0.5, "high": 0.5, "persistent": True},
    )

    ends: ClassVar[tuple[str, ...]] = ("low", "high")

    low: Annotated[float, Field(gt=0)]
    high: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.high < self.low:
            raise ValueError(f"high = {self.high:g}: must be at least low = {self.low:g}")
        return self

    def speed_at(self, u: Numbers) -> Numbers:
        """low + (high - low) u."""
        return self.low + (self.high - self.low) * u

    @classmethod
    def fitted(cls, x: Numbers) -> Self:
        """low = 1 / max(x), high = 1 / min(x): the density is largest with the nearest ends."""
        return cls(low=float(1 / x.max()), high=float(1 / x.min()))

    def log_density(self, x: Numbers) -> Numbers:
        """-ln(high - low) - 2 ln x between the ends; inf at the one point of equal ends."""
        width = self.high - self.low
        inside = (-log(width) if width else inf) - 2 * np.log(x)
        # Of speeds, as `fitted` has them: 1 / (1 / x) may be a rounding error away from x.
        return np.where((self.low <= 1 / x) & (1 / x <= self.high), inside, -inf)

    def cdf(self, x: Numbers) -> Numbers:
        """(high - 1 / x) / (high - low) between the ends."""
        width = self.high - self.low
        if not width:
            return np.where(1 / x <= self.low, 1.0, 0.0)
        below: Numbers = (self.high - 1 / x) / width
        return np.minimum(np.maximum(below, 0), 1)

    def mean_speed(self) -> float:
        """(low + high) / 2."""
        return (self.low + self.high) / 2

    def mean_slowdown(self) -> float:
        """ln(high / low) / (high - low)."""
        width = self.high - self.low
        return log1p(width / self.low) / width if width else 1 / self.low
