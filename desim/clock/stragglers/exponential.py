"""Exponential times: 1/V ~ Exp(mean), drawn anew at every step of every worker.

The usual model of a mini-batch's time in the analysis of synchronous and asynchronous SGD (Dutta et
al. 2018, arXiv 1803.01113). The slowest of n takes H_n = 1 + 1/2 + ... + 1/n times the mean.
"""

from math import inf
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from desim.clock.stragglers.base import Law


class Exponential(Law):
    """1/V ~ Exp: a gradient takes `mean` times as long as on the hardware alone, in the mean.

    Attributes:
        mean: of 1/V; seconds per sample where the cluster names no hardware.
    """

    kind: ClassVar[str] = "exponential"

    mean: Annotated[float, Field(gt=0)] = 1.0

    def speed_at(self, u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """1 / (-mean ln(1 - u)), with u = 0 as fast as half the smallest other draw."""
        return 1 / (-self.mean * np.log1p(-np.maximum(u, 2.0**-54)))

    def mean_speed(self) -> float:
        """Infinite: times near zero are too frequent."""
        return inf

    def mean_slowdown(self) -> float:
        """The mean."""
        return self.mean
