"""Two normals fitted to numbers z: the fit of `mixture` to measured slowdowns x, with z = ln x.

The EM algorithm of Dempster, Laird, Rubin 1977. With a mode on a single number, or on equal
readings of a coarse clock, the likelihood would have no bound; so what is maximised is, after Chen,
Tan, Zhang 2008 ('Inference for normal mixtures in mean and variance'),

    ln L - (1 / n) sum over both modes of (r - ln r),   r = variance of all z / of the mode's

which hardly moves modes of many numbers.
"""

from math import inf, pi, sqrt

import numpy as np

from desim.clock.stragglers.base import Numbers

#: Weights, means and standard deviations of the two modes, each of shape (2,).
Modes = tuple[Numbers, Numbers, Numbers]

#: Where the slower of two modes may begin: EM starts from each of these quantiles of z.
_CUTS = (0.1, 0.25, 0.5, 0.75, 0.9, 0.97)

#: EM starts on at most so many numbers, the quantiles of all; the best start goes on with all.
_THINNED = 5_000

#: EM ends when a round gains less per number, or after so many rounds.
_GAIN, _ROUNDS = 1e-9, 1_000


def two_normals(z: Numbers) -> Modes:
    """The two modes of numbers, that of the smaller mean first.

    Args:
        z: ascending, shape (n,), not all equal.

    Returns:
        Weights (their sum is 1), means and standard deviations.
    """
    thin = z[np.linspace(0, len(z) - 1, min(len(z), _THINNED)).round().astype(int)]
    ends = [_climb(thin, 1.0 * (thin >= np.quantile(thin, cut))) for cut in _CUTS]
    _, share = max(ends, key=lambda end: end[0])
    # What the best start makes of its numbers, carried over to all of them.
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
    """The best modes for these shares."""
    shares = np.stack([1 - share, share])
    # No mode may lose its last number: with a weight of zero its mean would be none.
    count = np.maximum(shares.sum(1), 1e-6)
    mu = shares @ z / count
    squares = (shares * (z - mu[:, None]) ** 2).sum(1)
    sigma = np.sqrt((squares + 2 * z.var() / len(z)) / (count + 2 / len(z)))
    return count / count.sum(), mu, sigma


def _joint(z: Numbers, weight: Numbers, mu: Numbers, sigma: Numbers) -> Numbers:
    """ln of weight times density of either mode, (2, n)."""
    mu, sigma = mu[:, None], sigma[:, None]
    density = -((z - mu) ** 2) / (2 * sigma**2) - np.log(sigma * sqrt(2 * pi))
    joint: Numbers = np.log(weight)[:, None] + density
    return joint
