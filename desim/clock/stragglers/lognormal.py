"""Log-normal times: ln(1/V) ~ N(mu, sigma^2), drawn anew at every step of every worker.

What FedScale (Lai et al. 2022, arXiv 2105.11367) multiplies 5 ms per sample with, mu = 1 and
sigma = 0.6; step times of real machines often look like it.
"""

from math import exp
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field
from scipy.special import ndtri

from desim.clock.stragglers.base import Law


class LogNormal(Law):
    """ln(1/V) ~ N(mu, sigma^2).

    Attributes:
        sigma: the standard deviation of ln(1/V); beyond 10 doubles don't hold the means.
        mu: its mean: the median of 1/V is e^mu, seconds per sample where the cluster names no
            hardware.
    """

    kind: ClassVar[str] = "lognormal"

    sigma: Annotated[float, Field(gt=0, le=10)] = 0.6
    mu: Annotated[float, Field(ge=-100, le=100)] = 0.0

    def speed_at(self, u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """exp(-mu - sigma z) with z the standard normal quantile."""
        normal: npt.NDArray[np.float64] = ndtri(np.maximum(u, 2.0**-54))
        return np.exp(-self.mu - self.sigma * normal)

    def mean_speed(self) -> float:
        """exp(-mu + sigma^2 / 2)."""
        return exp(-self.mu + self.sigma**2 / 2)

    def mean_slowdown(self) -> float:
        """exp(mu + sigma^2 / 2)."""
        return exp(self.mu + self.sigma**2 / 2)
