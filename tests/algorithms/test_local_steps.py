"""Local SGD with periodic averaging: when it averages, and what."""

import numpy as np
import pytest
from builders import models, setting, simulate, speeds
from one_sample_each import (
    ALPHA,
    EXACT,
    HALF,
    MANY_EACH,
    D,
    N,
    gradients,
    half,
    mixing,
    run,
)

from desim.algorithms.base import Algorithm

EPSILON = 0.7
LOCAL = {"kind": "local-dsgd", "batch": 3}


@pytest.mark.parametrize("barrier", ["global", "neighbors"])
@pytest.mark.parametrize(("local", "gossip"), [(3, 1), (2, 2), (0, 1)])
def test_local_steps_and_gossip_steps_take_turns(local, gossip, barrier):
    steps = {"local_steps": local, "gossip_steps": gossip, "barrier": barrier}
    simulation = run(LOCAL | EXACT | steps, epsilon=EPSILON)
    w, x = mixing(simulation), np.zeros((N, D))
    for t in range(50):
        x = x - ALPHA * EPSILON * gradients(x)
        if t % (local + gossip) >= local:
            x = x + EPSILON * (w @ x - x)
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)


def test_neighbours_arrive_compressed_and_ones_own_model_does_not():
    simulation = run(LOCAL | HALF | {"local_steps": 1})
    w, x = mixing(simulation), np.zeros((N, D))
    own = np.diag(np.diag(w))
    for t in range(50):
        x = x - ALPHA * gradients(x)
        if t % 2:
            x = own @ x + (w - own) @ half(x)
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)


def test_without_local_steps_it_is_dsgd_that_adapts_first():
    fields = {"problem": MANY_EACH, "epsilon": EPSILON}
    local = run(LOCAL | EXACT | {"local_steps": 0}, **fields)
    dsgd = run({"kind": "dsgd", "batch": 3, "order": "adapt-then-combine"} | EXACT, **fields)
    np.testing.assert_allclose(models(local), models(dsgd), rtol=0, atol=1e-10)


def test_on_a_complete_graph_it_is_local_sgd():
    fields = {"topology": "complete", "mixing": "uniform"}
    simulation = run(LOCAL | EXACT | {"local_steps": 4}, **fields)
    x = np.zeros((N, D))
    for _ in range(10):
        for _ in range(5):
            x = x - ALPHA * gradients(x)
        x = np.tile(x.mean(0), (N, 1))
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)


def test_workers_wait_for_each_other_once_a_period():
    # Of 10 samples; a step takes 2 s or 10 s. In DSGD somebody takes 10 s in every step.
    given = {"stragglers": speeds([5, 1], [1, 5], [5, 5]), "stop": {"rounds": 4}}
    given |= {"link": {"kind": "dedicated", "bandwidth_bps": 64.0, "latency_s": 1.0}}
    method = LOCAL | {"batch": 10}
    local = simulate(setting(method | {"local_steps": 1}, **given))
    every = simulate(setting(method | {"local_steps": 0}, **given))
    # Messages of 128 bits are 2 s on the wire and 1 s in it.
    assert every.outcome.time_s == pytest.approx(4 * (10 + 3))
    assert local.outcome.time_s == pytest.approx(2 * (2 + 10 + 3))
    assert local.spans("compute", 2) == [(0, 2), (2, 4), (15, 17), (17, 19)]
    assert local.spans("send", 2) == [(4, 6), (19, 21)]
    assert local.simulation.network.bits_sent * 2 == every.simulation.network.bits_sent


@pytest.mark.parametrize("barrier", ["global", "neighbors"])
def test_the_weight_of_an_absent_neighbour_goes_to_the_own_model(barrier):
    # Worker 2 goes in its first step, for good.
    faults = {"workers": [{"worker": 2, "down_s": 0.5}]}
    method = LOCAL | EXACT | {"local_steps": 1, "absent": "skip", "timeout_s": 2.0}
    stop = {"time_s": 10.0 * (2 * 3 + 2) + 1}
    simulation = run(
        method | {"barrier": barrier}, workers=3, topology="ring", faults=faults, stop=stop
    )
    assert [worker.steps for worker in simulation.workers] == [20, 20, 0]
    x = np.zeros((3, D))
    w = np.array([[2, 1, 0], [1, 2, 0], [0, 0, 3]]) / 3
    for _ in range(10):
        x[:2] -= ALPHA * gradients(x)[:2]
        x[:2] -= ALPHA * gradients(x)[:2]
        x = w @ x
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"local_steps": -1}, "greater than or equal to 0"),
        ({"gossip_steps": 0}, "greater than or equal to 1"),
        ({"overlap": True}, "unknown key"),
        ({"absent": "skip"}, "give a timeout_s"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, said):
    step = {"step_size": {"kind": "constant", "alpha": 0.1}}
    with pytest.raises(ValueError, match=said):
        Algorithm.parse(LOCAL | {"local_steps": 1} | step | changes)
