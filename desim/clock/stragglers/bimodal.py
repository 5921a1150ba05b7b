"""Bimodal speed: now and then, or for some workers always, slow by a factor.

The setting of most straggler experiments: one or a few workers 2 to 100 times slower for good
(AD-PSGD, Lian et al. 2018; Prague, Luo et al. 2020), or anybody 6 times slower at random steps
(Hop, Luo et al. 2019).
"""

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from desim.clock.stragglers.base import Law, Numbers


class Bimodal(Law):
    """V = 1 / factor with probability slow_fraction, else 1.

    Attributes:
        slow_fraction: the probability of being slow, at each step, or once per worker where
            `persistent`. For an exact number of slow workers give them hardware of their own.
        factor: how many times as long a slow gradient takes.
    """

    kind: ClassVar[str] = "bimodal"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {},
        {"slow_fraction": 0.3, "factor": 5.0, "persistent": True},
    )

    slow_fraction: Annotated[float, Field(ge=0, le=1)] = 0.1
    factor: Annotated[float, Field(gt=0)] = 10.0

    def speed_at(self, u: Numbers) -> Numbers:
        """1 / factor where u < slow_fraction."""
        return np.where(u < self.slow_fraction, 1 / self.factor, 1.0)

    def cdf(self, x: Numbers) -> Numbers:
        """Steps at 1 and at the factor."""
        slow = self.slow_fraction
        return slow * (x >= self.factor) + (1 - slow) * (x >= 1)

    def mean_speed(self) -> float:
        """1 - slow_fraction + slow_fraction / factor."""
        return 1 - self.slow_fraction + self.slow_fraction / self.factor

    def mean_slowdown(self) -> float:
        """1 - slow_fraction + slow_fraction factor."""
        return 1 - self.slow_fraction + self.slow_fraction * self.factor
