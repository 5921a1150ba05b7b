"""Hop: its three ways to take models against recursions, the gap, and what slow workers cost."""

from bisect import bisect_right

import numpy as np
import pytest
from builders import models, setting, simulate, speeds
from hypothesis import given, settings
from hypothesis import strategies as st
from one_sample_each import ALPHA, EXACT, D, N, gradients, mixing, run

from desim.engine.simulation import Simulation
from desim.errors import ScenarioError
from desim.schema.registry import NestedError

HOP = {"kind": "hop", "batch": 1}
UNEQUAL = {
    "stragglers": speeds(*(1 / np.sqrt([2, 3, 5, 7, 11, 13]))),
    "link": {"kind": "dedicated", "bandwidth_bps": float("inf"), "latency_s": 0.25},
}


@pytest.mark.parametrize("tokens", [{}, {"max_gap": 1}, {"max_gap": 4}], ids=str)
def test_the_standard_way_is_dsgd(tokens):
    dsgd = {"kind": "dsgd", "batch": 1, "barrier": "neighbors", "overlap": True} | EXACT
    hop, expected = run(HOP | EXACT | tokens, **UNEQUAL), run(dsgd, **UNEQUAL)
    steps = [worker.steps for worker in hop.workers]
    assert steps == [worker.steps for worker in expected.workers]
    assert max(steps) > min(steps)
    np.testing.assert_allclose(models(hop), models(expected), rtol=0, atol=1e-12)


def test_backup_workers_are_not_waited_for_and_their_weights_go_to_the_own_model():
    # Worker 2 never ends its first gradient; what it began with has arrived.
    method = HOP | EXACT | {"backup": 1, "max_gap": 20}
    fields = {"topology": "complete", "workers": 3, "stragglers": speeds(1, 1, 1e-3)}
    simulation = run(method, **fields, stop={"time_s": 12.5})
    w, x = mixing(simulation), np.zeros((3, D))
    own = np.array([[w[0, 0] + w[0, 2], w[0, 1]], [w[1, 0], w[1, 1] + w[1, 2]]])
    for t in range(12):
        mixed = own @ x[:2] if t else (w @ x)[:2]
        x[:2] = mixed - ALPHA * gradients(x)[:2]
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)


def test_stale_models_weigh_less():
    # Messages take 1.5 steps: those of the iteration before are the newest.
    link = {"kind": "dedicated", "bandwidth_bps": float("inf"), "latency_s": 1.5}
    method = HOP | EXACT | {"staleness": 1}
    simulation = run(method, rounds=20, link=link)
    w = mixing(simulation)
    own = 2 * np.diag(np.diag(w))
    others = w - np.diag(np.diag(w))
    total = (own + others).sum(1, keepdims=True)
    before = x = np.zeros((N, D))
    for _ in range(20):
        before, x = x, (own @ x + others @ before) / total - ALPHA * gradients(x)
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)


def test_models_that_are_all_there_weigh_as_they_do_without_staleness():
    found, expected = (models(run(HOP | EXACT | way)) for way in ({"staleness": 3}, {}))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def widest_gap(trial):
    """How far a worker ever was ahead of a neighbour, in gradients begun."""
    begun = [[start for start, _ in trial.spans("compute", i)] for i in range(N)]
    return max(
        k - (bisect_right(begun[j], start + 1e-9) - 1)
        for worker in trial.simulation.workers
        for j in worker.neighbours
        for k, start in enumerate(begun[worker.id])
        if start <= begun[j][-1]  # the gradient that the end cuts off is not in the timeline
    )


@pytest.mark.parametrize("max_gap", [1, 2, 5])
@pytest.mark.parametrize("way", [{"backup": 1}, {"staleness": 9}], ids=str)
def test_nobody_gets_further_ahead_of_a_neighbour_than_max_gap(way, max_gap):
    fields = {"workers": N, "stragglers": speeds(1, 1, 1, 1, 1, 0.1), "stop": {"rounds": 15}}
    fields |= {"link": {"kind": "dedicated", "bandwidth_bps": 1e4, "latency_s": 0.1}}
    assert widest_gap(simulate(setting(HOP | way | {"max_gap": max_gap}, **fields))) == max_gap


@pytest.mark.parametrize("way", [{}, {"max_gap": 5}, {"staleness": 0}], ids=str)
def test_without_backup_or_staleness_the_gap_is_one(way):
    fields = {"workers": N, "stragglers": speeds(1, 1, 1, 1, 1, 0.1), "stop": {"rounds": 15}}
    assert widest_gap(simulate(setting(HOP | way, **fields))) == 1


@pytest.mark.parametrize("way", [{"backup": 1, "max_gap": 6}, {"staleness": 5}], ids=str)
def test_steps_that_are_slow_at_random_cost_less(way):
    # Each worker is ten times as slow in one step of eight, one after another: 17 s for 8 steps
    # by itself, and 24 s if each waits for its two neighbours.
    rows = [[0.1 if k == i else 1.0 for k in range(8)] for i in range(N)]
    fields = {"workers": N, "stragglers": speeds(*rows), "stop": {"rounds": 40}}
    standard, tolerant = (simulate(setting(HOP | w, **fields)).outcome.time_s for w in ({}, way))
    assert tolerant == pytest.approx(5 * 17)
    assert standard == pytest.approx(5 * 24)


@pytest.mark.parametrize(
    "way", [{"backup": 1, "max_gap": 5}, {"staleness": 4, "max_gap": 5}], ids=str
)
def test_a_worker_that_is_always_slow_costs_less_if_it_leaves_iterations_out(way):
    fields = {"workers": N, "stragglers": speeds(1, 1, 1, 1, 1, 0.1), "stop": {"steps": 300}}
    standard, tolerant, skipping = (
        simulate(setting(HOP | w, **fields)) for w in ({}, way, way | {"max_skip": 10})
    )
    assert skipping.outcome.time_s < 0.5 * tolerant.outcome.time_s
    assert tolerant.outcome.time_s < standard.outcome.time_s
    # Tokens travel at once here, and it goes where its neighbours are.
    steps = [worker.steps for worker in skipping.simulation.workers]
    rounds = [next(worker.rounds()) for worker in skipping.simulation.workers]
    assert steps[5] < steps[4] / 3
    assert rounds[5] >= min(rounds[0], rounds[4]) - 5


def test_a_worker_that_leaves_iterations_out_takes_its_neighbours_models_first():
    # Worker 1 ends its first gradient after 4.5 s, when worker 0 is in iteration 4: it averages
    # with worker 0's model of iteration 3, and then computes in iteration 4.
    method = HOP | EXACT | {"staleness": 4, "max_gap": 9, "max_skip": 9}
    simulation = run(method, workers=2, stragglers=speeds(1, 1 / 4.5), stop={"time_s": 4.75})
    h, x = mixing(simulation), np.zeros((2, D))
    trail = [x[0]]
    for t in range(4):
        weights = h[0] * [5, 5 - t]
        x[0] = weights @ x / weights.sum() - ALPHA * gradients(x)[0]
        trail.append(x[0].copy())
    weights = h[1] * [9, 5]  # of iterations 4 and 0: 0 - (-4) + 1 for the own
    one = weights @ [trail[4], x[1]] / weights.sum() - ALPHA * gradients(x)[1]
    weights = h[1] * [6, 5]  # of iterations 4 and 3
    x[1] = weights @ [trail[4], one] / weights.sum()
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)


def test_tokens_take_32_bits():
    method = HOP | EXACT | {"backup": 1, "max_gap": 2}
    trial = simulate(setting(method, workers=4))
    bits = trial.rows("receive").bits.value_counts().to_dict()
    # No tokens for iteration 0; and the worker that ends the trial sends nothing any more.
    assert bits == {64 * 4: 4 * 2 * 4 - 2, 32: 3 * 2 * 4 - 2}


@settings(max_examples=40, deadline=None)
@given(
    workers=st.integers(3, 6),
    topology=st.sampled_from(["ring", "complete"]),
    way=st.sampled_from([{}, {"backup": 1}, {"staleness": 0}, {"staleness": 2}]),
    max_gap=st.integers(1, 4),
    max_skip=st.sampled_from([0, 1, 5]),
    pace=st.lists(st.sampled_from([0.3, 1.0, 1.7, 9.0]), min_size=6, max_size=6),
    latency_s=st.sampled_from([0.0, 0.1, 5.0]),
)
def test_nobody_waits_in_a_circle(workers, topology, way, max_gap, max_skip, pace, latency_s):
    skip = {"max_skip": max_skip} if way.get("backup") or way.get("staleness") else {}
    link = {"kind": "dedicated", "bandwidth_bps": 1e3, "latency_s": latency_s}
    fields = {"stragglers": speeds(*pace[:workers]), "topology": topology, "link": link}
    method = HOP | way | skip | {"max_gap": max_gap}
    outcome = simulate(setting(method, workers=workers, **fields, stop={"rounds": 6})).outcome
    assert outcome.stopped_by == "rounds", outcome.stalled


def test_it_refuses_what_does_not_fit():
    for fields, why in [
        ({"backup": 1, "max_gap": 2, "staleness": 1}, "staleness = 1: give it or backup"),
        ({"backup": 1}, "backup = 1: needs max_gap"),
        ({"max_gap": 2, "max_skip": 2}, "max_skip = 2: needs max_gap, and backup or staleness"),
    ]:
        with pytest.raises((ScenarioError, NestedError), match=why):
            setting(HOP | fields)
    with pytest.raises(ScenarioError, match="backup = 2: must be less than every worker's number"):
        Simulation(setting(HOP | {"backup": 2, "max_gap": 2}))
    with pytest.raises(ScenarioError, match="take an undirected topology"):
        Simulation(setting(HOP, topology="directed-ring", mixing="out-degree", workers=4))
