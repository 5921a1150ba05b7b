"""The curves of the figure of fitted straggler laws are distributions, each with its own tail."""

from typing import Any

import numpy as np
import pytest
from scipy import integrate

from desim.analysis import ResultsError
from desim.analysis.figures.fit import density, tail

TABLES: list[dict[str, Any]] = [
    {"kind": "exponential", "mean": 0.5},
    {"kind": "shifted-exponential", "shift": 0.2, "mean": 0.5},
    {"kind": "lognormal", "sigma": 0.4, "mu": -0.3},
    {"kind": "pareto", "index": 2.5, "minimum": 0.4},
    {"kind": "uniform-speed", "low": 0.5, "high": 4.0},
]
MIXTURE = {"kind": "mixture", "models": [TABLES[2], TABLES[1]], "weights": [3.0, 1.0]}

#: Where the densities jump.
JUMPS = [0.2, 0.25, 0.4, 2.0]


@pytest.mark.parametrize("table", [*TABLES, MIXTURE], ids=lambda table: table["kind"])
def test_the_tail_is_what_the_density_leaves(table: dict[str, Any]) -> None:
    for end in (0.3, 0.6, 1.5):
        inside = [jump for jump in JUMPS if jump < end]
        before, _ = integrate.quad(
            lambda x: float(density(table, np.array([x]))[0]), 1e-9, end, points=inside
        )
        assert tail(table, np.array([end]))[0] == pytest.approx(1 - before, abs=1e-6)


def test_the_density_of_slowdowns_is_that_of_the_papers_uniform_speeds() -> None:
    """1 / ((high - low) x^2) between 1 / high and 1 / low."""
    x = np.array([0.01, 0.02, 0.05, 0.11])
    found = density({"kind": "uniform-speed", "low": 10.0, "high": 90.0}, x)
    np.testing.assert_allclose(found, [0, 1 / (80 * 0.0004), 1 / (80 * 0.0025), 0], rtol=1e-12)


def test_another_law_is_refused() -> None:
    with pytest.raises(ResultsError, match="law = 'markov': must be one"):
        density({"kind": "markov"}, np.ones(1))
