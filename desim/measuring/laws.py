"""Maximum likelihood for the laws of `desim/clock/stragglers` that are distributions of one step.

x = 1/V is seconds per sample. Four laws have closed forms:

    exponential           mean = sum(x) / n
    shifted-exponential   shift = min(x), mean = sum(x) / n - min(x)
    lognormal             mu and sigma: mean and standard deviation (with 1/n) of ln x
    pareto                minimum = min(x), index = n / sum ln(x / min(x))
    uniform-speed         low = 1 / max(x), high = 1 / min(x); the density of x = 1/V is
                          1 / ((high - low) x^2) on [1 / high, 1 / low]

(Johnson, Kotz, Balakrishnan 1994, 'Continuous univariate distributions', chapters 14, 19, 20). The
bimodal law has two single values of V, which no measurement shows; what is fitted in its place is a
mixture of two lognormals, by the EM algorithm of Dempster, Laird, Rubin 1977 for two normals of
ln x. With a mode on a single number, or on equal readings of a coarse clock, its likelihood would
have no bound; so what is maximised is, after Chen, Tan, Zhang 2008 ('Inference for normal mixtures
in mean and variance'),

    ln L - (1 / n) sum over both modes of (r - ln r),   r = variance of all ln x / of the mode's

which hardly moves modes of many numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, log, pi, sqrt

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from desim.clock.stragglers.base import StragglerModel
from desim.clock.stragglers.exponential import Exponential
from desim.clock.stragglers.lognormal import LogNormal
from desim.clock.stragglers.mixture import Mixture
from desim.clock.stragglers.pareto import Pareto
from desim.clock.stragglers.shifted_exponential import ShiftedExponential
from desim.clock.stragglers.uniform_speed import UniformSpeed

Numbers = npt.NDArray[np.float64]
Function = Callable[[Numbers], Numbers]
Modes = tuple[Numbers, Numbers, Numbers]

#: Where the slower of two modes may begin: EM starts from each of these quantiles of ln x.
_CUTS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.97)

#: EM starts on at most so many numbers, the quantiles of all; the best start goes on with all.
_THINNED = 5_000

#: EM ends when a round gains less per number, or after so many rounds.
_GAIN, _ROUNDS = 1e-9, 1_000


@dataclass(frozen=True)
class Law:
    """A fitted law.

    Attributes:
        model: the straggler model with the parameters of largest likelihood.
        parameters: how many were fitted.
        ends: how many of them are ends of the support, known to 1/n rather than to 1/sqrt(n).
        log_density: ln of the density at numbers x (1/s), inside the support.
        cdf: P(1/V <= x).
    """

    model: StragglerModel
    parameters: int
    ends: int
    log_density: Function
    cdf: Function


def exponential(x: Numbers) -> Law:
    """1/V ~ Exp(mean)."""
    mean = float(x.mean())
    return Law(
        Exponential(mean=mean),
        1,
        0,
        lambda x: -log(mean) - x / mean,
        lambda x: -np.expm1(-x / mean),
    )


def shifted_exponential(x: Numbers) -> Law:
    """1/V = shift + Exp(mean)."""
    shift = float(x.min())
    mean = float((x - shift).mean())

    def cdf(x: Numbers) -> Numbers:
        return -np.expm1(-np.maximum(x - shift, 0) / mean)

    model = ShiftedExponential(shift=shift, mean=mean)
    return Law(model, 2, 1, lambda x: -log(mean) - (x - shift) / mean, cdf)


def lognormal(x: Numbers) -> Law:
    """ln(1/V) ~ N(mu, sigma^2)."""
    mu, sigma = float(np.log(x).mean()), float(np.log(x).std())

    def log_density(x: Numbers) -> Numbers:
        return _log_normal(np.log(x), mu, sigma) - np.log(x)

    def cdf(x: Numbers) -> Numbers:
        return np.asarray(ndtr((np.log(x) - mu) / sigma))

    return Law(LogNormal(mu=mu, sigma=sigma), 2, 0, log_density, cdf)


def pareto(x: Numbers) -> Law:
    """P(1/V > x) = (minimum / x)^index."""
    minimum = float(x.min())
    index = float(1 / np.log(x / minimum).mean())

    def log_density(x: Numbers) -> Numbers:
        return log(index) - index * np.log(x / minimum) - np.log(x)

    def cdf(x: Numbers) -> Numbers:
        return -np.expm1(-index * np.log(np.maximum(x / minimum, 1)))

    return Law(Pareto(minimum=minimum, index=index), 2, 1, log_density, cdf)


def uniform_speed(x: Numbers) -> Law:
    """V ~ U(low, high)."""
    low, high = float(1 / x.max()), float(1 / x.min())

    def cdf(x: Numbers) -> Numbers:
        return np.minimum(np.maximum((high - 1 / x) / (high - low), 0), 1)

    model = UniformSpeed(low=low, high=high)
    return Law(model, 2, 2, lambda x: -log(high - low) - 2 * np.log(x), cdf)


def two_lognormals(x: Numbers) -> Law:
    """A mixture of two lognormals, the faster one first."""
    weight, mu, sigma = _two_normals(np.sort(np.log(x)))

    def log_density(x: Numbers) -> Numbers:
        density: Numbers = np.logaddexp(*_joint(np.log(x), weight, mu, sigma)) - np.log(x)
        return density

    def cdf(x: Numbers) -> Numbers:
        return np.asarray(weight @ ndtr((np.log(x) - mu[:, None]) / sigma[:, None]))

    models = [LogNormal(mu=float(m), sigma=float(s)) for m, s in zip(mu, sigma, strict=True)]
    mixture = Mixture(models=tuple(models), weights=tuple(weight.tolist()))
    return Law(mixture, 5, 0, log_density, cdf)


#: What is fitted, in the order in which equally good ones are listed: the simpler first.
LAWS: tuple[Callable[[Numbers], Law], ...] = (
    exponential,
    shifted_exponential,
    lognormal,
    pareto,
    uniform_speed,
    two_lognormals,
)


def _log_normal(z: Numbers, mu: float | Numbers, sigma: float | Numbers) -> Numbers:
    density: Numbers = -((z - mu) ** 2) / (2 * sigma**2) - np.log(sigma * sqrt(2 * pi))
    return density


def _joint(z: Numbers, weight: Numbers, mu: Numbers, sigma: Numbers) -> Numbers:
    """ln of weight times density of either mode, (2, len(z))."""
    return np.log(weight)[:, None] + _log_normal(z, mu[:, None], sigma[:, None])


def _two_normals(z: Numbers) -> Modes:
    """Weights, means and standard deviations, each (2,), of ascending z; the smaller mean first."""
    thin = z[np.linspace(0, len(z) - 1, min(len(z), _THINNED)).round().astype(int)]
    ends = [_climb(thin, 1.0 * (thin >= np.quantile(thin, cut))) for cut in _CUTS]
    _, share = max(ends, key=lambda end: end[0])
    # What the best start thinks of its numbers, carried over to all of them.
    _, share = _climb(z, np.interp(z, thin, share))
    weight, mu, sigma = _maximised(z, share)
    order = np.argsort(mu)
    return weight[order], mu[order], sigma[order]


def _climb(z: Numbers, share: Numbers) -> tuple[float, Numbers]:
    """EM from each number's share in the second mode: what is maximised / n, and the shares."""
    before = now = -inf
    for _ in range(_ROUNDS):
        modes = _maximised(z, share)
        joint = _joint(z, *modes)
        total = np.logaddexp(*joint)
        ratio = z.var() / modes[2] ** 2
        now = float(total.mean() - (ratio - np.log(ratio)).sum() / len(z) ** 2)
        share = np.exp(joint[1] - total)
        if now - before < _GAIN:
            break
        before = now
    return now, share


def _maximised(z: Numbers, share: Numbers) -> Modes:
    """Weights, means and standard deviations that are the best for these shares."""
    shares = np.stack([1 - share, share])
    # No mode may lose its last number: with a weight of zero its mean would be none.
    count = np.maximum(shares.sum(1), 1e-6)
    mu = shares @ z / count
    squares = (shares * (z - mu[:, None]) ** 2).sum(1)
    sigma = np.sqrt((squares + 2 * z.var() / len(z)) / (count + 2 / len(z)))
    return count / count.sum(), mu, sigma
