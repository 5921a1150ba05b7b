"""Uniform speed: V ~ U(low, high), drawn anew at every step of every worker.

The straggler model of Reisizadeh et al. 2019 (V ~ U(10, 90) samples per unit of time). Workers
differ only in noise: none is slow for long, unless `persistent`.
"""

from math import log1p
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from desim.clock.stragglers.base import Law


class UniformSpeed(Law):
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

    low: Annotated[float, Field(gt=0)]
    high: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.high < self.low:
            raise ValueError(f"high = {self.high:g}: must be at least low = {self.low:g}")
        return self

    def speed_at(self, u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """low + (high - low) u."""
        return self.low + (self.high - self.low) * u

    def mean_speed(self) -> float:
        """(low + high) / 2."""
        return (self.low + self.high) / 2

    def mean_slowdown(self) -> float:
        """ln(high / low) / (high - low)."""
        width = self.high - self.low
        return log1p(width / self.low) / width if width else 1 / self.low
