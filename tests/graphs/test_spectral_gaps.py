"""1 - beta against closed forms and published values.

Koloskova et al. 2019 (arXiv 1902.00340) give ring .67, .05, .01 and torus .67, .4, .2 for 4, 16 and
36 workers, with weights 1 / (d + 1): `uniform`, `metropolis` and `laplacian` with margin 1 alike.
"""

from math import cos, pi

import pytest
from test_topology_conformance import build

from desim.errors import ScenarioError
from desim.mixings.base import Mixing
from desim.topologies.base import Topology


def weights(kind, workers, mixing="uniform"):
    return Mixing.parse(mixing).build(build(Topology.parse(kind), workers))


@pytest.mark.parametrize("mixing", ["uniform", "metropolis", "laplacian"])
@pytest.mark.parametrize(
    ("kind", "workers", "published"),
    [
        ("ring", 4, 0.67),
        ("ring", 16, 0.05),
        ("ring", 36, 0.01),
        ("torus", 4, 0.67),
        ("torus", 16, 0.4),
        ("torus", 36, 0.2),
    ],
)
def test_gaps_are_the_published_ones(kind, workers, published, mixing):
    # Published with one or two digits.
    assert weights(kind, workers, mixing).spectral_gap() == pytest.approx(published, abs=0.005)


@pytest.mark.parametrize("workers", [3, 8, 17, 50, 501, 640])
def test_eigenvalues_of_a_ring(workers):
    # 1/3 + 2/3 cos(2 pi k / n); above 500 workers they come from a sparse solver.
    values = [1 / 3 + 2 / 3 * cos(2 * pi * k / workers) for k in range(workers)]
    second, last = weights("ring", workers).eigenvalues()
    assert second == pytest.approx(values[1], abs=1e-9)
    assert last == pytest.approx(min(values), abs=1e-9)


def test_eigenvalues_of_a_torus():
    # 5 x 8: (1 + 2 cos(2 pi a / 5) + 2 cos(2 pi b / 8)) / 5.
    values = sorted(
        (1 + 2 * cos(2 * pi * a / 5) + 2 * cos(2 * pi * b / 8)) / 5
        for a in range(5)
        for b in range(8)
    )
    expected = pytest.approx((values[-2], values[0]), abs=1e-12)
    assert weights("torus", 40).eigenvalues() == expected


@pytest.mark.parametrize("workers", [3, 8, 17, 100])
def test_the_gap_of_a_directed_ring(workers):
    # Eigenvalues (1 + w) / 2 with w^n = 1: their moduli are |cos(pi k / n)|.
    ring = weights("directed-ring", workers, "out-degree")
    assert ring.eigenvalues() is None
    assert ring.spectral_gap() == pytest.approx(1 - cos(pi / workers), abs=1e-9)


@pytest.mark.parametrize(("workers", "hops"), [(4, 2), (6, 3), (8, 3), (10, 4), (64, 6)])
def test_the_gap_of_a_directed_exponential_graph(workers, hops):
    # On the vector 1, -1, 1, ... hop 1 changes the sign and the other hops don't: the eigenvalue is
    # (hops - 1) / (hops + 1), the second one for even n (Ying et al. 2021, arXiv 2110.13363).
    graph = weights("directed-exponential", workers, "out-degree")
    assert graph.spectral_gap() == pytest.approx(2 / (1 + hops), abs=1e-9)


def test_the_gap_of_a_matrix_that_is_not_symmetric():
    # Out-degree weights of a star with m leaves act on (hub, a leaf) as [[1/(m+1), m/2],
    # [1/(m+1), 1/2]], with trace 1/(m+1) + 1/2 and eigenvalue 1; leaves differ by 1/2 a step.
    star = weights("star", 10, "out-degree")
    assert star.eigenvalues() is None
    assert star.spectral_gap() == pytest.approx(1 - 1 / 2, abs=1e-9)
    # Complex eigenvalues: three workers in a ring, (1 + w) / 2 of modulus 1/2.
    assert weights("directed-ring", 3, "out-degree").spectral_gap() == pytest.approx(1 / 2)


def test_the_complete_graph_averages_in_one_step():
    assert weights("complete", 20).spectral_gap() == pytest.approx(1, abs=1e-12)


def test_a_star_with_metropolis_weights():
    # Leaves hold 1 - 1/n of themselves: beta = 1 - 1/n.
    gap = weights("star", 25, "metropolis").spectral_gap()
    assert gap == pytest.approx(1 / 25, abs=1e-12)


def test_too_many_workers_have_no_eigenvalues_and_need_a_safe_kappa():
    # A dense solution would take minutes; kappa above the largest degree needs none.
    ring = build(Topology.parse("ring"), 2001)
    assert Mixing.parse("metropolis").build(ring).eigenvalues() is None
    assert Mixing.parse("metropolis").build(ring).spectral_gap() is None
    assert weights("directed-ring", 2001, "out-degree").spectral_gap() is None
    Mixing.parse({"kind": "laplacian", "kappa": 2.1}).build(ring)
    with pytest.raises(ScenarioError, match=r"kappa = 1\.5: must be above the largest degree, 2"):
        Mixing.parse({"kind": "laplacian", "kappa": 1.5}).build(ring)
