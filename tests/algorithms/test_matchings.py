"""Matchings, their probabilities and the mixing step, against closed forms and by trying it out."""

from itertools import product

import networkx as nx
import numpy as np
import pytest

from desim.algorithms.parts.matchings import (
    Activations,
    Matchings,
    best_probabilities,
    mixing_step,
)
from desim.streams import Streams
from desim.topologies.base import Graph

GRAPHS = {
    "path": nx.path_graph(5),
    "odd ring": nx.cycle_graph(7),
    "star": nx.star_graph(6),
    "complete, even": nx.complete_graph(8),
    "complete, odd": nx.complete_graph(7),
    "Petersen": nx.petersen_graph(),
    "bipartite": nx.complete_bipartite_graph(4, 6),
    "barbell": nx.barbell_graph(3, 0),
    **{f"random {k}": nx.gnp_random_graph(30, p, seed=k) for k, p in enumerate([0.2, 0.4, 0.8])},
    **{f"regular {d}": nx.random_regular_graph(d, 24, seed=d) for d in (3, 4, 9, 16)},
}


def decomposed(graph):
    n = graph.number_of_nodes()
    return Matchings.of(Graph(tuple(np.array(sorted(graph.adj[i])) for i in range(n))))


def second(matchings, p):
    return np.linalg.eigvalsh(matchings.laplacian(np.asarray(p, float)))[1]


def round_robin(n):
    """The complete graph on an even number of workers, as n - 1 perfect matchings."""
    last, edges = n - 1, []
    for k in range(last):
        edges.append((k, (k, last)))
        edges += [(k, sorted([(k - s) % last, (k + s) % last])) for s in range(1, n // 2)]
    return Matchings(n, np.array([ends for _, ends in edges]), np.array([k for k, _ in edges]))


def expectation(matchings, p, function):
    """The mean of a function of the active matchings, over all 2^M cases."""
    return sum(
        np.prod(np.where(active, p, 1 - p)) * function(np.array(active, float))
        for active in product([0, 1], repeat=matchings.count)
    )


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=list(GRAPHS))
def test_every_edge_is_in_one_of_at_most_d_max_plus_1_matchings(graph):
    matchings = decomposed(graph)
    edges = sorted(sorted(edge) for edge in graph.edges)
    assert sorted(matchings.ends.tolist()) == edges
    assert set(matchings.matching) == set(range(matchings.count))
    for k in range(matchings.count):
        ends = matchings.ends[matchings.matching == k].ravel()
        assert len(set(ends)) == len(ends)
    highest = max(degree for _, degree in graph.degree)
    assert highest <= matchings.count <= highest + 1


def test_an_even_ring_has_two_matchings_and_the_petersen_graph_needs_four():
    assert decomposed(nx.cycle_graph(10)).count == 2
    assert decomposed(GRAPHS["Petersen"]).count == 4


def test_laplacians_add_up():
    graph = GRAPHS["random 1"]
    matchings = decomposed(graph)
    whole = nx.laplacian_matrix(graph, range(30)).toarray()
    np.testing.assert_array_equal(matchings.laplacian(np.ones(matchings.count)), whole)
    v = np.random.default_rng(0).normal(size=(3, 30))
    singles = np.eye(matchings.count)
    expected = [[row @ matchings.laplacian(one) @ row for one in singles] for row in v]
    np.testing.assert_allclose(matchings.forms(v), expected, rtol=1e-12)


@pytest.mark.parametrize("budget", [0.01, 0.5, 0.9])
@pytest.mark.parametrize(
    ("matchings", "best"),
    [
        # Turning the ring by one swaps the matchings: equal probabilities are best.
        (decomposed(nx.cycle_graph(8)), 2 - 2 * np.cos(np.pi / 4)),
        # Each edge of a star is a matching, and all are alike: lambda_2(L) = 1.
        (decomposed(nx.star_graph(6)), 1.0),
        # The eigenvalues but one sum to 2 (n / 2) sum p, so the smallest is at most n budget.
        (round_robin(8), 8.0),
    ],
    ids=["ring", "star", "complete"],
)
def test_alike_matchings_are_active_equally_often(matchings, best, budget):
    p = best_probabilities(matchings, budget)
    assert p.mean() == pytest.approx(budget, abs=1e-9)
    assert second(matchings, p) == pytest.approx(budget * best, rel=1e-4)
    assert second(matchings, p) <= budget * best * (1 + 1e-9)


@pytest.mark.parametrize("graph", [GRAPHS["barbell"], nx.lollipop_graph(3, 3)], ids=str)
def test_no_other_probabilities_are_better(graph):
    matchings = decomposed(graph)
    assert matchings.count == 3
    p = best_probabilities(matchings, 0.5)
    assert p.sum() == pytest.approx(1.5)
    assert p.min() >= 0
    assert p.max() <= 1
    step = 0.01
    grid = np.arange(0, 1 + step / 2, step)
    tried = [(a, b, 1.5 - a - b) for a in grid for b in grid if 0 <= 1.5 - a - b <= 1]
    each = np.stack([matchings.laplacian(one) for one in np.eye(3)])
    values = np.linalg.eigvalsh(np.tensordot(np.array(tried), each, 1))[:, 1]
    # Some point of the grid is within steps of 1/2, 1/2 and 1 of the best one, and an edge's
    # probability changes lambda_2 at most twice as much.
    assert values.max() * (1 - 1e-9) <= second(matchings, p) * (1 + 1e-4)
    assert second(matchings, p) <= values.max() + 4 * step
    assert second(matchings, p) > 1.05 * second(matchings, [0.5] * 3)  # and not for nothing


def test_a_link_that_nothing_can_replace_is_used_most():
    matchings = decomposed(GRAPHS["barbell"])
    bridge = matchings.matching[matchings.ends.tolist().index([2, 3])]
    p = best_probabilities(matchings, 0.5)
    assert p[bridge] == p.max() > 1.5 * np.sort(p)[-2]


@pytest.mark.parametrize(("name", "budget"), [("random 1", 0.5), ("random 2", 0.01)])
def test_on_a_dense_graph_nothing_nearby_is_better(name, budget):
    matchings = decomposed(GRAPHS[name])
    p = best_probabilities(matchings, budget)
    best = second(matchings, p)
    assert p.sum() == pytest.approx(budget * matchings.count)
    assert best > 1.05 * second(matchings, [budget] * matchings.count)
    random = np.random.default_rng(0)
    for size in np.repeat([1e-3, 1e-2, 1e-1], 50):
        other = p + 2 * budget * size * random.normal(size=matchings.count)
        for _ in range(20):  # back to what is allowed
            other = np.clip(other + p.mean() - other.mean(), 0, 1)
        assert second(matchings, other) <= best * (1 + 1e-4)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=list(GRAPHS))
def test_a_full_budget_activates_everything(graph):
    matchings = decomposed(graph)
    np.testing.assert_allclose(best_probabilities(matchings, 1.0), 1.0, atol=1e-12)


@pytest.mark.parametrize("graph", [GRAPHS["barbell"], GRAPHS["path"], nx.star_graph(3)], ids=str)
def test_the_mixing_step_is_the_best_for_all_cases_taken_together(graph):
    matchings = decomposed(graph)
    n = matchings.workers
    p = best_probabilities(matchings, 0.6)

    def rho(a):
        def contraction(active):
            w = np.eye(n) - a * matchings.laplacian(active)
            return w.T @ w - 1 / n

        return np.linalg.eigvalsh(expectation(matchings, p, contraction))[-1]

    a, found = mixing_step(matchings, p)
    assert found == pytest.approx(rho(a), rel=1e-12)
    assert found < 1
    around = [rho(a + d) for d in np.linspace(-0.3, 0.3, 61)]
    assert found <= min(around) * (1 + 1e-9)


def test_two_workers_meet_halfway():
    # 1 - 4 a p + 4 a^2 p is least at a = 1/2.
    matchings = decomposed(nx.path_graph(2))
    a, rho = mixing_step(matchings, np.array([0.3]))
    assert a == pytest.approx(0.5, abs=1e-6)
    assert rho == pytest.approx(0.7)


def test_all_links_at_once_need_no_more_than_the_classical_step():
    # With p = 1 it is ||I - a L - J||^2: a = 2 / (lambda_2 + lambda_n) (Xiao, Boyd 2004).
    matchings = decomposed(GRAPHS["random 0"])
    values = np.linalg.eigvalsh(matchings.laplacian(np.ones(matchings.count)))
    a, rho = mixing_step(matchings, np.ones(matchings.count))
    assert a == pytest.approx(2 / (values[1] + values[-1]), rel=1e-5)
    ratio = values[-1] / values[1]
    assert rho == pytest.approx(((ratio - 1) / (ratio + 1)) ** 2, rel=1e-5)


def test_matchings_are_active_as_often_as_they_should_be_and_independently():
    matchings = decomposed(GRAPHS["barbell"])
    p = best_probabilities(matchings, 0.5)
    activations = Activations(matchings, p, Streams(1))
    rounds = 1000
    a, rho = mixing_step(matchings, p)
    n, total = matchings.workers, np.zeros((6, 6))
    seen = np.zeros((rounds, matchings.count))
    for t in range(rounds):
        partners = activations.partners(t)
        adjacent = np.zeros((n, n))
        for i, row in enumerate(partners):
            assert row == sorted(row)
            adjacent[i, row] = 1
        assert (adjacent == adjacent.T).all()
        w = np.eye(n) - a * (np.diag(adjacent.sum(1)) - adjacent)
        total += w.T @ w - 1 / n
        there = {tuple(edge) for edge in activations.active(t).tolist()}
        for k in range(matchings.count):
            edges = {tuple(edge) for edge in matchings.ends[matchings.matching == k].tolist()}
            assert edges <= there or not edges & there
            seen[t, k] = edges <= there
    # Five standard errors of a frequency, of a product of two and of a norm below 1.
    tolerance = 5 * 0.5 / rounds**0.5
    np.testing.assert_allclose(seen.mean(0), p, atol=tolerance)
    np.testing.assert_allclose((seen.T @ seen / rounds)[0, 1], p[0] * p[1], atol=tolerance)
    assert np.linalg.eigvalsh(total / rounds)[-1] == pytest.approx(rho, abs=2 * tolerance)


def test_a_round_can_be_asked_for_again_later():
    matchings = decomposed(GRAPHS["complete, even"])
    p = np.full(matchings.count, 0.5)
    activations = Activations(matchings, p, Streams(1))
    first = [activations.partners(t) for t in range(200)]
    assert [activations.partners(t) for t in range(200)] == first
    other = Activations(matchings, p, Streams(2))
    assert [other.partners(t) for t in range(200)] != first
