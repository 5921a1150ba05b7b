"""Graphs on which one worker may send to another without hearing from it."""

import networkx as nx
import numpy as np
import pytest
from test_topology_conformance import as_networkx, build

from desim.errors import ScenarioError
from desim.topologies.base import Graph, Topology


class GivenEdges(Topology):
    """The directed graph with these edges."""

    edges: tuple[tuple[int, int], ...]

    def draw(self, workers: int, random: np.random.Generator) -> nx.DiGraph:
        graph = nx.empty_graph(workers, create_using=nx.DiGraph)
        graph.add_edges_from(self.edges)
        return graph


def rows(table):
    return [row.tolist() for row in table]


def test_a_graph_without_targets_is_undirected():
    graph = Graph((np.array([1]), np.array([0])))
    assert graph.targets is graph.neighbours
    assert not graph.directed


def test_an_edge_goes_from_the_sender_to_its_target():
    graph = build(GivenEdges(edges=((0, 1), (1, 2), (2, 0), (1, 0))), 3)
    assert graph.directed
    assert rows(graph.targets) == [[1], [0, 2], [0]]
    assert rows(graph.neighbours) == [[1, 2], [0], [1]]
    assert graph.degrees.tolist() == [2, 1, 1]
    assert graph.out_degrees.tolist() == [1, 2, 1]


def test_edges_that_all_go_both_ways_are_an_undirected_graph():
    graph = build(GivenEdges(edges=((0, 1), (1, 0), (1, 2), (2, 1))), 3)
    assert not graph.directed
    assert rows(graph.targets) == rows(graph.neighbours) == [[1], [0, 2], [1]]
    assert not build(Topology.parse("directed-ring"), 2).directed
    assert not build(Topology.parse("directed-exponential"), 3).directed


def test_everyone_must_be_reachable_along_the_edges():
    chain = GivenEdges(edges=((0, 1), (1, 2), (2, 1)))
    with pytest.raises(ScenarioError) as error:
        build(chain, 3)
    assert str(error.value) == (
        f"network.topology = {chain.table()}: the graph is not strongly connected on 3 workers "
        "(2 parts); every worker must be reachable from every other: add edges"
    )


def test_a_directed_ring_sends_to_the_next():
    graph = build(Topology.parse("directed-ring"), 5)
    assert rows(graph.targets) == [[1], [2], [3], [4], [0]]
    assert rows(graph.neighbours) == [[4], [0], [1], [2], [3]]


def test_a_directed_exponential_graph_sends_over_powers_of_two():
    # On 8 workers the peers are 1, 2 and 4 hops away.
    graph = build(Topology.parse("directed-exponential"), 8)
    assert rows(graph.targets[:2]) == [[1, 2, 4], [2, 3, 5]]
    assert rows(graph.neighbours[:2]) == [[4, 6, 7], [0, 5, 7]]


@pytest.mark.parametrize("workers", [5, 8, 33])
def test_the_order_of_the_hops_can_be_recovered(workers):
    hops = [1, 2, 4, 8, 16, 32][: (workers - 1).bit_length()]
    for i, row in enumerate(build(Topology.parse("directed-exponential"), workers).targets):
        assert sorted((row - i) % workers) == hops


@pytest.mark.parametrize(("degree", "workers"), [(1, 2), (1, 9), (2, 3), (2, 300), (5, 300)])
def test_everyone_in_a_random_directed_graph_sends_to_as_many(degree, workers):
    graph = build(Topology.parse({"kind": "directed-random", "degree": degree}), workers)
    assert set(graph.out_degrees.tolist()) == {degree}
    assert (len(set(graph.degrees.tolist())) > 1) == (workers == 300)


def test_the_others_in_a_random_directed_graph_are_drawn_evenly():
    # In-degrees are 1 + Binomial(n - 2, 2 / (n - 2)): variance about 2. Over 5,000 workers the
    # standard error of the variance is about (E[(X - 2)^4] - 2^2)^.5 / 5000^.5 = 10^.5 / 71 = .045.
    degrees = build(Topology.parse({"kind": "directed-random", "degree": 3}), 5000).degrees
    assert degrees.mean() == 3
    assert degrees.var() == pytest.approx(2, abs=5 * 0.045)


@pytest.mark.parametrize(("degree", "workers"), [(4, 4), (9, 4)])
def test_nobody_can_send_to_more_than_all_others(degree, workers):
    text = f"network.topology.degree = {degree}: must be less than the {workers} workers"
    with pytest.raises(ScenarioError, match=text):
        build(Topology.parse({"kind": "directed-random", "degree": degree}), workers)


def test_networkx_sees_the_same_graph():
    given = ((0, 1), (1, 2), (2, 0), (2, 3), (3, 0))
    assert set(as_networkx(build(GivenEdges(edges=given), 4)).edges) == set(given)
