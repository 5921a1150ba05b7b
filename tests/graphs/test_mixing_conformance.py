"""What every mixing matrix promises on every topology that it takes."""

import numpy as np
import pytest
from builders import examples, label
from test_topology_conformance import as_networkx, build, topologies

from desim.errors import ScenarioError
from desim.mixings.base import Mixing
from desim.topologies.base import Topology

MIXINGS = examples("mixings")


@pytest.fixture(params=MIXINGS, ids=label)
def mixing(request):
    return request.param


@pytest.fixture(params=topologies(), ids=label)
def weights(request, mixing):
    graph = build(request.param, 12)
    try:
        return mixing.build(graph)
    except ScenarioError:
        return pytest.skip("refused")


@pytest.mark.parametrize("kind", ["ring", "complete"])
def test_every_mixing_takes_regular_graphs(mixing, kind):
    assert mixing.build(build(Topology.parse(kind), 12)).graph.workers == 12


def test_w_is_symmetric_and_averages(weights):
    matrix = weights.matrix().toarray()
    np.testing.assert_allclose(matrix, matrix.T, rtol=0, atol=1e-15)
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=0, atol=1e-14)
    values = np.linalg.eigvalsh(matrix)
    assert values[-1] == pytest.approx(1, abs=1e-12)
    assert values[0] > -1
    assert values[-2] < 1 - 1e-6  # only the mean is kept
    assert weights.spectral_gap() == pytest.approx(1 - max(abs(values[0]), abs(values[-2])))


def test_only_neighbours_have_weight_and_each_has_some(weights):
    matrix = weights.matrix().toarray()
    linked = np.zeros((12, 12), bool)
    for i, j in as_networkx(weights.graph).edges:
        linked[i, j] = True
    assert (matrix[linked] > 0).all()
    assert (matrix[~linked & ~np.eye(12, dtype=bool)] == 0).all()


def test_workers_see_the_rows_of_the_matrix(weights):
    matrix = weights.matrix().toarray()
    for i, (neighbours, row) in enumerate(
        zip(weights.graph.neighbours, weights.neighbours, strict=True)
    ):
        assert weights.own[i] == matrix[i, i]
        np.testing.assert_array_equal(matrix[i, neighbours], row)


def test_metropolis_weights_of_a_star():
    # Degrees 3 and 1: every edge has 1 / (1 + 3), the hub keeps 1/4, a leaf 3/4.
    weights = Mixing.parse("metropolis").build(build(Topology.parse("star"), 4))
    assert weights.own.tolist() == [0.25, 0.75, 0.75, 0.75]
    assert weights.matrix().toarray()[0].tolist() == [0.25] * 4


def test_laplacian_weights_are_one_over_kappa():
    graph = build(Topology.parse("star"), 4)  # d_max = 3
    for table, kappa in [({}, 4.0), ({"margin": 2.0}, 5.0), ({"kappa": 8.0}, 8.0)]:
        weights = Mixing.parse({"kind": "laplacian"} | table).build(graph)
        assert weights.own.tolist() == pytest.approx([1 - 3 / kappa] + 3 * [1 - 1 / kappa])
        assert weights.neighbours[1].tolist() == [1 / kappa]


def test_uniform_weights_need_equal_degrees():
    with pytest.raises(ScenarioError) as error:
        Mixing.parse("uniform").build(build(Topology.parse("star"), 5))
    assert "network.mixing = {'kind': 'uniform'}" in str(error.value)
    assert "from 1 to 4" in str(error.value)
    assert "use metropolis" in str(error.value)


# Half the largest eigenvalue of L: ring of 16 and of 600 2; complete graph of 9 4.5; star of n n/2.
@pytest.mark.parametrize(
    ("kind", "workers", "half"),
    [("ring", 16, 2.0), ("complete", 9, 4.5), ("star", 10, 5.0), ("ring", 600, 2.0)],
)
def test_kappa_must_be_above_half_the_largest_eigenvalue_of_the_laplacian(kind, workers, half):
    graph = build(Topology.parse(kind), workers)
    for kappa in (half, 0.9 * half):
        with pytest.raises(ScenarioError) as error:
            Mixing.parse({"kind": "laplacian", "kappa": kappa}).build(graph)
        assert f"network.mixing.kappa = {kappa:g}: must be above half" in str(error.value)
        assert f"{half:.4g} on this graph" in str(error.value)
    assert Mixing.parse({"kind": "laplacian", "kappa": 1.01 * half}).build(graph)


def test_asymmetric_and_negative_weights_are_refused():
    class Skew(Mixing):
        def off_diagonal(self, graph):
            return tuple(
                np.full(len(row), 0.1 + 0.01 * i) for i, row in enumerate(graph.neighbours)
            )

    class Negative(Mixing):
        def off_diagonal(self, graph):
            return tuple(np.full(len(row), -0.1) for row in graph.neighbours)

    graph = build(Topology.parse("ring"), 5)
    with pytest.raises(ScenarioError, match="must be symmetric, but"):
        Skew().build(graph)
    with pytest.raises(ScenarioError, match="every neighbour's weight must be positive"):
        Negative().build(graph)
