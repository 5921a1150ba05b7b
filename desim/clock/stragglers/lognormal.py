"""Log-normal times: ln(1/V) ~ N(mu, sigma^2), drawn at every step of every worker.

What FedScale (Lai et al. 2022, arXiv 2105.11367) multiplies 5 ms per sample with, mu = 1 and
sigma = 0.6; step times of real machines often look like it. Its fit is that of Johnson, Kotz,
Balakrishnan 1994 ('Continuous univariate distributions', chapter 14).
"""

from math import exp, pi, sqrt
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field

from desim.clock.stragglers.base import Fittable, Law, Numbers


class LogNormal(Law, Fittable):
    """ln(1/V) ~ N(mu, sigma^2).

    Attributes:
        sigma: the standard deviation of ln(1/V); beyond 10 doubles don't hold the means.
        mu: its mean: the median of 1/V is e^mu, seconds per sample where the cluster names no
            hardware.
    """

    kind: ClassVar[str] = "lognormal"

    sigma: Annotated[float, Field(gt=0, le=10)] = 0.6
    mu: Annotated[float, Field(ge=-100, le=100)] = 0.0

    def speed_at(self, u: Numbers) -> Numbers:
        """exp(-mu - sigma z) with z the standard normal quantile."""
        from scipy.special import ndtri

        normal: Numbers = ndtri(np.maximum(u, 2.0**-54))
        return np.exp(-self.mu - self.sigma * normal)

    @classmethod
    def fitted(cls, x: Numbers) -> Self:
        """mu and sigma: mean and standard deviation (with 1/n) of ln x."""
        return cls(mu=float(np.log(x).mean()), sigma=float(np.log(x).std()))

    def log_density(self, x: Numbers) -> Numbers:
        """-(ln x - mu)^2 / (2 sigma^2) - ln(sigma sqrt(2 pi)) - ln x."""
        z = np.log(x)
        scale = np.log(self.sigma * sqrt(2 * pi))
        density: Numbers = -((z - self.mu) ** 2) / (2 * self.sigma**2) - scale - z
        return density

    def cdf(self, x: Numbers) -> Numbers:
        """The standard normal's at (ln x - mu) / sigma."""
        from scipy.special import ndtr

        return np.asarray(ndtr((np.log(x) - self.mu) / self.sigma))

    def mean_speed(self) -> float:
        """exp(-mu + sigma^2 / 2)."""
        return exp(-self.mu + self.sigma**2 / 2)

    def mean_slowdown(self) -> float:
        """exp(mu + sigma^2 / 2)."""
        return exp(self.mu + self.sigma**2 / 2)
