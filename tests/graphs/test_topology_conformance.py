"""What every topology promises, and the degrees of each."""

import networkx as nx
import numpy as np
import pytest
from builders import label

from desim.schema.registry import members
from desim.streams import Streams
from desim.topologies.base import Graph, Topology

WORKERS = (6, 12, 50)


def topologies() -> list[Topology]:
    """Every topology with each of its examples; an edge list has its own tests."""
    classes = {kind: cls for kind, cls in members("topologies").items() if kind != "edge-list"}
    return [cls.model_validate(table) for cls in classes.values() for table in cls.examples]


def build(topology, workers, seed=0) -> Graph:
    return topology.build(workers, Streams(seed).generator("graph"))


def as_networkx(graph: Graph) -> nx.DiGraph:
    """The graph with an edge i -> j where i sends to j."""
    edges = [(i, int(j)) for i, row in enumerate(graph.targets) for j in row]
    result = nx.DiGraph(edges)
    result.add_nodes_from(range(graph.workers))
    return result


@pytest.fixture(params=topologies(), ids=label)
def topology(request):
    return request.param


@pytest.fixture(params=WORKERS)
def workers(request, topology):
    if topology.table().get("degree", 0) >= request.param:
        pytest.skip("more neighbours than workers")
    return request.param


def test_a_graph_is_connected_and_without_self_loops(topology, workers):
    graph = build(topology, workers)
    directed = as_networkx(graph)
    assert graph.workers == workers == len(directed)
    assert nx.is_strongly_connected(directed)
    assert nx.number_of_selfloops(directed) == 0


def test_a_worker_receives_from_those_that_send_to_it(topology, workers):
    graph = build(topology, workers)
    sent = {(i, int(j)) for i, row in enumerate(graph.targets) for j in row}
    received = {(int(j), i) for i, row in enumerate(graph.neighbours) for j in row}
    assert sent == received
    assert graph.directed == any((j, i) not in sent for i, j in sent)
    assert graph.directed == (graph.targets is not graph.neighbours)


def test_rows_are_ascending_numbers_without_repetition(topology, workers):
    graph = build(topology, workers)
    assert len(graph.neighbours) == len(graph.targets) == workers
    for row in graph.neighbours + graph.targets:
        assert row.dtype == np.int64
        assert (np.diff(row) > 0).all()
        assert 0 <= row.min() <= row.max() < workers


def test_degrees_count_neighbours_and_targets(topology, workers):
    graph = build(topology, workers)
    assert graph.degrees.tolist() == [len(row) for row in graph.neighbours]
    assert graph.out_degrees.tolist() == [len(row) for row in graph.targets]


def test_a_seed_gives_one_graph(topology, workers):
    one, other = build(topology, workers, seed=3), build(topology, workers, seed=3)
    for a, b in zip(one.neighbours, other.neighbours, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_random_graph_differs_between_seeds(topology):
    seen = {str(build(topology, 50, seed).neighbours) for seed in range(3)}
    random = Streams(0).generator("graph")
    topology.draw(50, random)
    untouched = Streams(0).generator("graph")
    assert len(seen) == (1 if random.random() == untouched.random() else 3)


DEGREES = [
    ({"kind": "ring"}, 2, {1}),
    ({"kind": "ring"}, 7, {2}),
    ({"kind": "complete"}, 7, {6}),
    ({"kind": "torus"}, 4, {2}),
    ({"kind": "torus"}, 10, {3}),  # 2 x 5: the two rows are each other's both neighbours
    ({"kind": "torus"}, 12, {4}),  # 3 x 4
    ({"kind": "torus", "rows": 2}, 12, {3}),
    ({"kind": "torus", "rows": 12}, 36, {4}),
    ({"kind": "random-regular", "degree": 3}, 20, {3}),
    # Distances 1, 2, 4 both ways; on 8 workers 4 and -4 are the same.
    ({"kind": "exponential"}, 8, {5}),
    ({"kind": "exponential"}, 7, {6}),
    ({"kind": "exponential"}, 50, {12}),
    ({"kind": "exponential"}, 2, {1}),
    ({"kind": "exponential"}, 3, {2}),
    # Distances 1, 2, 4 one way.
    ({"kind": "directed-exponential"}, 8, {3}),
    ({"kind": "directed-exponential"}, 9, {4}),
    ({"kind": "directed-exponential"}, 2, {1}),
    ({"kind": "directed-ring"}, 7, {1}),
    ({"kind": "directed-ring"}, 2, {1}),
    ({"kind": "directed-random", "degree": 6}, 7, {6}),
    ({"kind": "star"}, 9, {1, 8}),
    ({"kind": "erdos-renyi", "p": 1.0}, 9, {8}),
]


@pytest.mark.parametrize(("table", "workers", "degrees"), DEGREES, ids=str)
def test_degrees_are_as_promised(table, workers, degrees):
    assert set(build(Topology.parse(table), workers).degrees.tolist()) == degrees


def test_the_hub_of_a_star_is_worker_0():
    graph = build(Topology.parse("star"), 5)
    assert graph.neighbours[0].tolist() == [1, 2, 3, 4]
    assert all(row.tolist() == [0] for row in graph.neighbours[1:])


def test_torus_rows_and_columns_wrap_around():
    # 3 x 4, worker i at (i // 4, i % 4): worker 0's neighbours are 1, 3 (its row), 4, 8.
    assert build(Topology.parse("torus"), 12).neighbours[0].tolist() == [1, 3, 4, 8]
    assert build(Topology.parse("torus"), 12).neighbours[6].tolist() == [2, 5, 7, 10]


def test_erdos_renyi_edges_exist_with_probability_p():
    # 40 graphs x 1,225 pairs with p = .4: standard error of the share .0022.
    pairs = 40 * 50 * 49 / 2
    edges = sum(
        build(Topology.parse({"kind": "erdos-renyi", "p": 0.4}), 50, seed).degrees.sum() / 2
        for seed in range(40)
    )
    assert edges / pairs == pytest.approx(0.4, abs=5 * (0.24 / pairs) ** 0.5)
