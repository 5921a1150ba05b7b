"""MATCHA against a recursion of its random matrices, and what its rounds cost."""

import numpy as np
import pytest
from builders import models, setting, simulate
from one_sample_each import (
    ALPHA,
    CURVATURES,
    EXACT,
    HALF,
    ONE_EACH,
    D,
    N,
    gradients,
    half,
    run,
    thetas,
)

from desim.algorithms.parts.matchings import Matchings, best_probabilities, mixing_step
from desim.engine.simulation import Simulation
from desim.errors import ScenarioError
from desim.schema.registry import find
from desim.topologies.base import Graph

MATCHA = {"kind": "matcha", "batch": 3}
ORDERS = ["adapt-then-combine", "combine-then-adapt"]


def laplacian(simulation, t):
    """Of the links that are active in round t."""
    adjacent = np.zeros((N, N))
    for i, row in enumerate(simulation.workers[0].common.activations.partners(t)):
        adjacent[i, row] = 1
    return np.diag(adjacent.sum(1)) - adjacent


def follow(simulation, order, rounds, through=lambda x: x):
    a, x = simulation.workers[0].common.a, np.zeros((N, D))
    for t in range(rounds):
        y = x - ALPHA * gradients(x)
        x = y - a * laplacian(simulation, t) @ through(y if order == ORDERS[0] else x)
    return x


@pytest.mark.parametrize("barrier", ["global", "neighbors"])
@pytest.mark.parametrize("order", ORDERS)
def test_it_follows_the_recursion(order, barrier):
    simulation = run(MATCHA | EXACT | {"order": order, "barrier": barrier})
    np.testing.assert_allclose(models(simulation), follow(simulation, order, 50), atol=1e-12)
    assert len({laplacian(simulation, t).tobytes() for t in range(50)}) > 3


def test_a_is_the_one_for_its_graph_and_budget():
    simulation = run(MATCHA | {"budget": 0.3}, rounds=1)
    matchings = Matchings.of(Graph(tuple(np.array(w.neighbours) for w in simulation.workers)))
    p = best_probabilities(matchings, 0.3)
    assert simulation.workers[0].common.a == mixing_step(matchings, p)[0]


@pytest.mark.parametrize("order", ORDERS)
def test_with_a_full_budget_it_is_dsgd(order):
    full = run(MATCHA | EXACT | {"order": order, "budget": 1.0}, topology="complete")
    mixing = {"kind": "laplacian", "kappa": 1 / full.workers[0].common.a}
    dsgd = {"kind": "dsgd", "batch": 3, "order": order} | EXACT
    fields = {"topology": "complete", "mixing": mixing}
    np.testing.assert_allclose(models(full), models(run(dsgd, **fields)), atol=1e-12)


@pytest.mark.parametrize("order", ORDERS)
def test_what_compression_loses_leaves_the_mean_alone(order):
    simulation = run(MATCHA | HALF | {"order": order})
    expected = follow(simulation, order, 50, half)
    np.testing.assert_allclose(models(simulation), expected, atol=1e-12)
    mean = np.zeros(D)
    for _ in range(50):
        mean = mean - ALPHA * CURVATURES * (mean - thetas().mean(0))
    np.testing.assert_allclose(models(simulation).mean(0), mean, atol=1e-12)


@pytest.mark.parametrize("barrier", ["global", "neighbors"])
def test_a_crash_changes_nothing_but_the_time(barrier):
    link = {"kind": "dedicated", "bandwidth_bps": 1e3, "latency_s": 0.3}
    method = MATCHA | EXACT | {"barrier": barrier}
    whole = run(method, rounds=20, link=link)
    faults = {"workers": {"mean_up_s": 6.0, "mean_down_s": 2.0}}
    crashed = run(method, rounds=20, link=link | {"loss": 0.2}, faults=faults)
    assert crashed.outcome.time_s > 1.2 * whole.outcome.time_s
    order = ORDERS[0]
    for simulation in (whole, crashed):
        for worker, found in zip(simulation.workers, models(simulation), strict=True):
            expected = follow(simulation, order, worker.steps)[worker.id]
            np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_worker_that_lost_its_model_goes_on():
    faults = {"workers": [{"worker": 1, "down_s": 7.3, "up_s": 9.0}], "model": "reset"}
    assert run(MATCHA, rounds=30, faults=faults).outcome.stopped_by == "rounds"


def costs(table, rounds=30, **fields):
    given = setting(
        {"batch": 2} | table,
        workers=8,
        topology="complete",
        problem=ONE_EACH.model_copy(update={"samples_per_worker": None}),
        stop={"rounds": rounds},
        **fields,
    )
    return simulate(given)


def test_only_active_links_carry_messages():
    trial = costs({"kind": "matcha"}, link={"kind": "fifo", "up_bps": 1e3})
    received = trial.rows("receive")
    for t, rows in received.groupby("step"):
        partners = trial.simulation.workers[0].common.activations.partners(t)
        links = {(i, j) for i, row in enumerate(partners) for j in row}
        assert set(zip(rows.worker, rows.peer, strict=True)) == links
        assert rows.bits.sum() == 32 * D * len(links)
    assert trial.outcome.rows[-1].bits_sent == received.bits.sum()


def test_a_round_takes_as_many_messages_as_a_worker_has_partners():
    # A gradient takes 2 s; messages leave one after another and take 32 D / 1000 s = 0.16 s each.
    link, message_s = {"kind": "fifo", "up_bps": 1e3}, 32 * D / 1e3
    trial = costs({"kind": "matcha"}, link=link)
    partners = trial.simulation.workers[0].common.activations.partners
    most = [max(map(len, partners(t))) for t in range(30)]
    assert trial.outcome.time_s == pytest.approx(30 * 2 + sum(most) * message_s)
    # All matchings of a complete graph are alike: half of the messages, in the mean.
    dsgd = costs({"kind": "dsgd"}, link=link)
    assert dsgd.outcome.time_s == pytest.approx(30 * (2 + 7 * message_s))
    assert trial.outcome.time_s - 60 < 0.75 * (dsgd.outcome.time_s - 60)


def test_rounds_are_the_same_for_every_method_of_a_seed():
    first, second = (run(MATCHA | {"order": order}, rounds=1) for order in ORDERS)
    assert all((laplacian(first, t) == laplacian(second, t)).all() for t in range(40))


def test_two_workers_are_enough():
    simulation = run(MATCHA | EXACT, workers=2, topology="ring")
    assert abs(models(simulation).mean(0) - thetas(2).mean(0)).max() < 0.1


def test_what_it_cannot_run_on_is_refused():
    table = MATCHA | {"step_size": {"kind": "constant", "alpha": 0.1}}
    with pytest.raises(ScenarioError, match="matcha: matchings need links that go both ways; take"):
        Simulation(setting(table, topology="directed-ring", mixing="out-degree"), train=False)
    with pytest.raises(ScenarioError, match="at most 1,000 workers, here are 1,001; take fewer"):
        Simulation(setting(table, workers=1001), train=False)
    for budget in (0.0, 1.5):
        with pytest.raises(ScenarioError, match="budget"):
            find("algorithms", "matcha")(batch=1, step_size=table["step_size"], budget=budget)
