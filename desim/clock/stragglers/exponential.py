"""Exponential times: 1/V ~ Exp(mean), drawn at every step of every worker.

The usual model of a mini-batch's time in the analysis of synchronous and asynchronous SGD (Dutta et
al. 2018, arXiv 1803.01113). The slowest of n takes H_n = 1 + 1/2 + ... + 1/n times the mean.
"""

from math import inf, log
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field

from desim.clock.stragglers.base import Fittable, Law, Numbers


class Exponential(Law, Fittable):
    """1/V ~ Exp: a gradient takes `mean` times as long as on the hardware alone, in the mean.

    Attributes:
        mean: of 1/V; seconds per sample where the cluster names no hardware.
    """

    kind: ClassVar[str] = "exponential"

    mean: Annotated[float, Field(gt=0)] = 1.0

    def speed_at(self, u: Numbers) -> Numbers:
        """1 / (-mean ln(1 - u)), with u = 0 as fast as half the smallest other draw."""
        return 1 / (-self.mean * np.log1p(-np.maximum(u, 2.0**-54)))

    @classmethod
    def fitted(cls, x: Numbers) -> Self:
        """mean = sum(x) / n."""
        return cls(mean=float(x.mean()))

    def log_density(self, x: Numbers) -> Numbers:
        """-ln mean - x / mean."""
        return -log(self.mean) - x / self.mean

    def cdf(self, x: Numbers) -> Numbers:
        """1 - exp(-x / mean)."""
        return -np.expm1(-x / self.mean)

    def mean_speed(self) -> float:
        """Infinite: times near zero are too frequent."""
        return inf

    def mean_slowdown(self) -> float:
        """`mean` itself."""
        return self.mean
