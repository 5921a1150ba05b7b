"""What every mixing matrix promises on every topology that it takes."""

import numpy as np
import pytest
from builders import examples, label
from test_topology_conformance import as_networkx, build, topologies

from desim.errors import ScenarioError
from desim.mixings.base import Mixing
from desim.topologies.base import Topology

MIXINGS = examples("mixings")
DIRECTED = [topology for topology in topologies() if build(topology, 12).directed]
#: Symmetric matrices with undirected graphs, the others with all.
SYMMETRIC = [(m, t) for m in MIXINGS if m.symmetric for t in topologies() if t not in DIRECTED]
OTHERS = [(m, t) for m in MIXINGS if not m.symmetric for t in topologies()]


def pair(names):
    return " on ".join(map(label, names))


@pytest.fixture(params=MIXINGS, ids=label)
def mixing(request):
    return request.param


@pytest.fixture(params=SYMMETRIC + OTHERS, ids=pair)
def weights(request):
    mixing, topology = request.param
    graph = build(topology, 12)
    try:
        return mixing.build(graph)
    except ScenarioError:
        return pytest.skip("refused")


@pytest.mark.parametrize("kind", ["ring", "complete"])
def test_every_mixing_takes_regular_graphs(mixing, kind):
    assert mixing.build(build(Topology.parse(kind), 12)).graph.workers == 12


@pytest.mark.parametrize("topology", DIRECTED, ids=label)
def test_a_symmetric_mixing_refuses_directed_graphs_and_others_take_them(mixing, topology):
    graph = build(topology, 12)
    if not mixing.symmetric:
        assert mixing.build(graph).graph is graph
        return
    with pytest.raises(ScenarioError) as error:
        mixing.build(graph)
    assert str(error.value) == (
        f"network.mixing = {mixing.table()}: gives a symmetric W, which a directed graph can't "
        "have; use mixing = 'out-degree', or an undirected topology"
    )


@pytest.mark.parametrize("weights", SYMMETRIC, ids=pair, indirect=True)
def test_a_symmetric_w_averages(weights):
    matrix = weights.matrix().toarray()
    np.testing.assert_allclose(matrix, matrix.T, rtol=0, atol=1e-15)
    np.testing.assert_allclose(matrix.sum(1), 1, rtol=0, atol=1e-14)
    assert weights.doubly_stochastic
    values = np.linalg.eigvalsh(matrix)
    assert values[-1] == pytest.approx(1, abs=1e-12)
    assert values[0] > -1
    assert values[-2] < 1 - 1e-6  # only the mean is kept
    assert weights.eigenvalues() == pytest.approx((values[-2], values[0]))
    assert weights.spectral_gap() == pytest.approx(1 - max(abs(values[0]), abs(values[-2])))


def test_push_sum_finds_the_mean(weights):
    matrix = weights.matrix().toarray()
    np.testing.assert_allclose(matrix.sum(0), 1, rtol=0, atol=1e-14)
    both_sums = np.append(matrix.sum(0), matrix.sum(1))
    assert weights.doubly_stochastic == np.allclose(both_sums, 1, rtol=0, atol=1e-12)
    gap = weights.spectral_gap()
    assert 0 < gap < 1 + 1e-12
    # Errors shrink by 1 - gap a step: after 40 / gap steps by e^-40, or to the rounding errors.
    power = np.linalg.matrix_power(matrix, int(40 / gap))
    values = np.arange(12.0) ** 2
    np.testing.assert_allclose(power @ values / (power @ np.ones(12)), values.mean(), rtol=1e-9)


def test_only_neighbours_have_weight_and_each_has_some(weights):
    matrix = weights.matrix().toarray()
    linked = np.zeros((12, 12), bool)
    for sender, target in as_networkx(weights.graph).edges:
        linked[target, sender] = True
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


def test_out_degree_weights_of_a_star():
    # The hub splits into 4 parts, a leaf into 2; the hub's row is 1/4 and three times 1/2.
    weights = Mixing.parse("out-degree").build(build(Topology.parse("star"), 4))
    assert weights.own.tolist() == [0.25, 0.5, 0.5, 0.5]
    assert [row.tolist() for row in weights.neighbours] == [[0.5] * 3, [0.25], [0.25], [0.25]]
    assert not weights.doubly_stochastic
    assert weights.asymmetry() == 0.25


def test_out_degree_weights_are_the_senders_shares():
    topology = Topology.parse({"kind": "directed-random", "degree": 3})
    weights = Mixing.parse("out-degree").build(build(topology, 20))
    assert weights.own.tolist() == [0.25] * 20
    assert {share for row in weights.neighbours for share in row.tolist()} == {0.25}
    assert not weights.doubly_stochastic  # in-degrees differ
    for kind in ("directed-ring", "directed-exponential", "torus"):
        assert Mixing.parse("out-degree").build(build(Topology.parse(kind), 20)).doubly_stochastic


@pytest.mark.parametrize("mixing", ["metropolis", "out-degree"])
def test_sums_over_many_leaves_are_exact_enough(mixing):
    # Added one after the other, 100,000 weights of 1e-5 are off by 2e-12.
    weights = Mixing.parse(mixing).build(build(Topology.parse("star"), 100_000))
    assert weights.own[0] == pytest.approx(1e-5, rel=1e-9)
    assert weights.doubly_stochastic == (mixing == "metropolis")


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


def test_weights_that_break_their_rule_are_refused():
    class Skew(Mixing):
        def off_diagonal(self, graph):
            return tuple(
                np.full(len(row), 0.1 + 0.01 * i) for i, row in enumerate(graph.neighbours)
            )

    class Negative(Mixing):
        def off_diagonal(self, graph):
            return tuple(np.full(len(row), -0.1) for row in graph.neighbours)

    class Generous(Mixing):
        symmetric = False

        def off_diagonal(self, graph):
            return tuple(np.full(len(row), 0.6) for row in graph.neighbours)

    graph = build(Topology.parse("ring"), 5)
    with pytest.raises(ScenarioError, match=r"keeps some, but worker 0's sum to 1\.2"):
        Generous().build(graph)
    with pytest.raises(ScenarioError, match="must be symmetric, but"):
        Skew().build(graph)
    with pytest.raises(ScenarioError, match="every neighbour's weight must be positive"):
        Negative().build(graph)
