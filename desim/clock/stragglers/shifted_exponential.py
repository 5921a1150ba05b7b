"""Shifted exponential times: 1/V = shift + Exp(mean), drawn at every step of every worker.

Lee et al. 2018 (arXiv 1512.02673): a load l takes P(T <= t) = 1 - exp(-mu (t / l - a)), which is
shift = a and mean = 1 / mu. The slowest of n takes shift + H_n mean, H_n = 1 + 1/2 + ... + 1/n.
Its fit is that of Johnson, Kotz, Balakrishnan 1994 ('Continuous univariate distributions', chapter
19).
"""

from math import inf, log
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from desim.clock.stragglers.base import Fittable, Law, Numbers


class ShiftedExponential(Law, Fittable):
    """1/V = shift + Exp(mean): never faster than 1 / shift, with an exponential tail.

    Attributes:
        shift: the least 1/V, positive.
        mean: of what comes on top of it; both are seconds per sample where the cluster names no
            hardware.
    """

    kind: ClassVar[str] = "shifted-exponential"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"shift": 0.02, "mean": 0.005})
    ends: ClassVar[tuple[str, ...]] = ("shift",)

    shift: Annotated[float, Field(gt=0)] = 1.0
    mean: Annotated[float, Field(gt=0)] = 1.0

    def speed_at(self, u: Numbers) -> Numbers:
        """1 / (shift - mean ln(1 - u))."""
        return 1 / (self.shift - self.mean * np.log1p(-u))

    @classmethod
    def fitted(cls, x: Numbers) -> Self:
        """shift = min(x), mean = sum(x - shift) / n."""
        shift = float(x.min())
        return cls(shift=shift, mean=float((x - shift).mean()))

    def log_density(self, x: Numbers) -> Numbers:
        """-ln mean - (x - shift) / mean from the shift on."""
        inside = -log(self.mean) - (x - self.shift) / self.mean
        return np.where(x >= self.shift, inside, -inf)

    def cdf(self, x: Numbers) -> Numbers:
        """1 - exp(-(x - shift) / mean) from the shift on."""
        return -np.expm1(-np.maximum(x - self.shift, 0) / self.mean)

    def mean_speed(self) -> float:
        """e^z E1(z) / mean with z = shift / mean; U(1, 1, z) is e^z E1(z) without overflow."""
        from scipy.special import hyperu

        return float(hyperu(1, 1, self.shift / self.mean)) / self.mean

    def mean_slowdown(self) -> float:
        """The shift plus the mean."""
        return self.shift + self.mean
