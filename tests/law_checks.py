"""What every law of 1/V promises, whoever wrote it; the suite and an extension's test call these.

A law is checked through its own words only: its draws against its distribution function, that
against its density, its means against integrals of the density, and its fit against its draws.
"""

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from math import ceil, inf, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from builders import examples
from scipy import stats

from desim.clock.stragglers.base import Fittable, Law, StragglerModel
from desim.measuring.fitting import Fit
from desim.streams import Streams

Numbers = npt.NDArray[np.float64]

#: Steps drawn for a check.
N = 20_000

#: Kolmogorov's distribution: sqrt(n) times the distance is larger once in a thousand times.
KOLMOGOROV = 1.95

#: A chance that a fixed seed should not hit.
CHANCE = 1e-4

#: Densities are integrated over ln x within so much of the median's, all that doubles hold.
REACH = 600.0


def drawn(model: StragglerModel, count: int = N, seed: int = 5) -> Numbers:
    """Slowdowns of one worker's gradients as the simulator draws them, anew at each step."""
    if "persistent" in type(model).model_fields:
        model = model.model_copy(update={"persistent": False})
    speed = model.speed(Streams(seed), 0)
    return np.array([speed.duration_s(step, 0.0, 1.0) for step in range(count)])


def has_density(model: StragglerModel) -> bool:
    """Whether a model says its density: of a mixture, whether all of its models do."""
    if not isinstance(model, Fittable):
        return False
    try:
        model.log_density(np.ones(1))
    except ValueError:
        return False
    return len(np.unique(drawn(model, 10))) > 1


@cache
def densities() -> list[Fittable]:
    """The examples of all straggler models that come with desim and say their density."""
    return [model for model in examples("stragglers") if has_density(model)]


#: Far outside the support a formula may overflow on its way to the right value.
_far_out = np.errstate(over="ignore", under="ignore")


@_far_out
def check_draws(law: Law | Fittable) -> None:
    """Draws follow the distribution function, which is one."""
    x = np.sort(drawn(law))
    # Rounding may put a draw on the wrong side of a jump.
    values, counts = np.unique(x * (1 + 1e-12), return_counts=True)
    distance = np.abs(law.cdf(values) - np.cumsum(counts) / N).max()
    assert distance < KOLMOGOROV / sqrt(N)
    everywhere = law.cdf(np.exp(np.linspace(-REACH, REACH, 10_001) + np.log(np.median(x))))
    assert everywhere.shape == (10_001,)
    assert everywhere[0] == pytest.approx(0, abs=1e-12)
    assert everywhere[-1] == pytest.approx(1, abs=1e-12)
    assert (np.diff(everywhere) >= -1e-15).all()


def check_density(law: Fittable) -> None:
    """The density's integral is the distribution function, over the whole support 1."""
    edges = np.quantile(drawn(law), [0, 1e-3, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1 - 1e-3, 1])
    for low, high in pairwise(edges):
        share = _integral(law, 0, np.linspace(np.log(low), np.log(high), 20))
        (before, until) = law.cdf(np.array([low, high]))
        assert share == pytest.approx(until - before, abs=1e-9)
    assert moment(law, 0) == pytest.approx(1, rel=1e-7)


def check_means(law: Fittable) -> None:
    """E[1/V] and E[V] are the density's."""
    assert law.mean_slowdown() == pytest.approx(moment(law, 1), rel=1e-8)
    assert law.mean_speed() == pytest.approx(moment(law, -1), rel=1e-8)


@_far_out
def moment(law: Fittable, power: float) -> float:
    """E[x^power] of x = 1/V, an integral of the density; inf where it grows without an end."""
    z = np.log(drawn(law, 2_000))
    middle = float(np.median(z))
    low, high = (_end_of_support(law, middle, middle + sign * REACH) for sign in (-1, 1))
    inner = np.quantile(z, np.linspace(0, 1, 200))
    below = -_steps_outwards(-inner[0], -low, np.ptp(z))[::-1]
    beyond = _steps_outwards(inner[-1], high, np.ptp(z))
    edges = np.concatenate([below, inner, beyond])
    near = edges[np.abs(edges - middle) <= REACH / 2]
    part, whole = _integral(law, power, near), _integral(law, power, edges)
    return whole if whole <= part * (1 + 1e-6) else inf


def _end_of_support(law: Fittable, inside: float, outside: float) -> float:
    """ln of the end of the support that lies between, or `outside`."""
    if law.log_density(np.exp([outside]))[0] > -inf:
        return outside
    while abs(outside - inside) > 1e-14 * max(1.0, abs(inside)):
        middle = (inside + outside) / 2
        if law.log_density(np.exp([middle]))[0] > -inf:
            inside = middle
        else:
            outside = middle
    return inside


def _steps_outwards(start: float, end: float, width: float) -> Numbers:
    """Points from `start` (left out) to `end`, first near each other, then 2 apart at most."""
    steps = np.minimum(width / 100 * 2.0 ** np.arange(40), 2.0)
    steps = np.append(steps, np.full(ceil(REACH), 2.0))
    points = start + np.cumsum(steps)
    return np.append(points[points < end], max(end, start))


def _integral(law: Fittable, power: float, edges: Numbers) -> float:
    """Of e^(power z) times the density of z = ln x, by Gauss's rule of 40 points between edges."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    half = np.diff(edges)[:, None] / 2
    z = edges[:-1, None] + half * (1 + nodes)
    exponent = law.log_density(np.exp(z)) + (power + 1) * z
    return float((np.exp(exponent) * weights * half).sum())


def check_fit(truth: Fittable) -> None:
    """The fit to draws of a law is the maximum of likelihood, and it is as near as chance allows.

    Twice what the fit gains in ln L over the truth is chi-squared, with a degree of freedom for
    each parameter (Wilks 1938) and two for each end of the support, whose gain is exponential. So
    the truth lies within the fit's joint standard errors, however the law names its parameters.
    """
    x = drawn(truth)
    found = type(truth).fitted(x)
    check_maximum(found, x)
    gain = 2 * (found.log_density(x) - truth.log_density(x)).sum()
    assert set(found.ends) <= set(type(found).model_fields)
    assert 0 <= gain < stats.chi2.ppf(1 - CHANCE, found.parameters() + len(found.ends))
    if isinstance(found, Law):  # the fit's support lies inside the truth's
        u = np.linspace(1e-9, 1 - 1e-9, 10_001)
        assert np.isfinite(truth.log_density(1 / found.speed_at(u))).all()


def check_maximum(found: Fittable, x: Numbers) -> None:
    """A fit is less likely with any of its numbers a percent larger or smaller.

    One that is an end of the support makes steps impossible in one direction, in no other case.
    """
    best = found.log_density(x).sum()
    assert np.isfinite(best)
    for path in _numbers(found.table()):
        others = [_moved(found, path, factor) for factor in (0.99, 1.01)]
        likely = np.array([other.log_density(x).sum() for other in others if other])
        assert (likely < best).all(), path
        impossible = np.isneginf(likely).sum()
        assert impossible == (1 if path[0] in found.ends else 0), path


def _numbers(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys that lead to each float of a table."""
    match node:
        case dict() | list():
            items = node.items() if isinstance(node, dict) else enumerate(node)
            for key, value in items:
                yield from _numbers(value, (*path, key))
        case float():
            yield path


def _moved(found: Fittable, path: tuple[Any, ...], factor: float) -> Fittable | None:
    """The same with another number at a path; None if it can't be."""
    table = found.table()
    *heads, last = path
    node: Any = table
    for head in heads:
        node = node[head]
    node[last] = node[last] * factor if abs(node[last]) > 0.01 else node[last] + factor - 1
    try:
        return type(found).model_validate({k: v for k, v in table.items() if k != "kind"})
    except ValueError:
        return None


def check_choice(truth: Fittable, found: Fit) -> None:
    """Of all laws fitted to draws of one, that has the least BIC; or a simpler one is as likely."""
    kind = truth.table()["kind"]
    own, best = next(law for law in found.laws if law.kind == kind), found.best
    assert own.ks < KOLMOGOROV / sqrt(N)
    if best is not own:
        more = own.parameters - best.parameters + len(own.model.ends) - len(best.model.ends)
        assert more > 0
        gain = 2 * (own.log_likelihood - best.log_likelihood)
        assert gain < stats.chi2.ppf(1 - CHANCE, more)
