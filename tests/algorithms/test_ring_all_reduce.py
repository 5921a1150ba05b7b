"""Ring all-reduce: its time in closed form, its sum exactly, and what it is refused with."""

import numpy as np
import pytest
from builders import models, problem, setting, simulate, speeds
from one_sample_each import ALPHA, EXACT, HALF, D, N, gradients, half, run

from desim.engine.simulation import Simulation
from desim.errors import ScenarioError
from desim.schema.registry import NestedError

ALL_REDUCE = {"kind": "all-reduce-sgd", "batch": 3}
LATENCY_S, BANDWIDTH_BPS = 0.125, 1024.0
LINK = {"kind": "dedicated", "latency_s": LATENCY_S, "bandwidth_bps": BANDWIDTH_BPS}


@pytest.mark.parametrize(("workers", "parameters"), [(3, 12), (4, 8), (8, 16)])
def test_a_round_takes_2_n_minus_1_steps_of_a_chunk(workers, parameters):
    given = setting(ALL_REDUCE, workers=workers, link=LINK, problem=problem(parameters=parameters))
    outcome = simulate(given).outcome
    hop_s = LATENCY_S + 32 * parameters / workers / BANDWIDTH_BPS
    # Three rounds of 3 samples at 1 sample/s, then 2 (n - 1) hops.
    assert outcome.time_s == pytest.approx(3 * (3 + 2 * (workers - 1) * hop_s), rel=1e-12)


def test_it_waits_for_the_slowest():
    given = setting(
        ALL_REDUCE,
        workers=4,
        link=LINK,
        problem=problem(parameters=8),
        stragglers=speeds(3.0, 1.0, 0.5, 1.0),
    )
    run = simulate(given)
    begins = [run.spans("compute", worker)[1][0] for worker in range(4)]
    # The last one has what came of the slowest one's first chunk, 2 (n - 1) hops later.
    assert max(begins) == pytest.approx(6 + 6 * (LATENCY_S + 64 / BANDWIDTH_BPS), rel=1e-12)
    assert min(begins) > 6


@pytest.mark.parametrize("parameters", [3, 5, 7, 20])
def test_chunks_differ_by_one_number_and_all_of_them_go_round(parameters):
    given = setting(ALL_REDUCE, workers=5, link=LINK, problem=problem(parameters=parameters))
    received = simulate(given).rows("receive")
    # 2 (n - 1) transmissions of each chunk a round: 2 (n - 1) models over all links.
    assert received.bits.sum() == 3 * 8 * 32 * parameters
    small = 32 * (parameters // 5)
    assert set(received.bits) <= {small, small + 32} - {0}
    assert set((received.peer + 1) % 5 - received.worker) == {0}


def test_models_follow_plain_sgd_on_the_mean_loss_and_are_the_same():
    found = models(run(ALL_REDUCE | EXACT))
    x = np.zeros((N, D))
    for _ in range(50):
        x = x - ALPHA * gradients(x).mean(0)
    np.testing.assert_allclose(found, x, rtol=0, atol=1e-12)
    assert len({row.tobytes() for row in found}) == 1


def test_gradients_are_rounded_before_they_are_added_up():
    x = np.zeros((N, D))
    for _ in range(50):
        x = x - ALPHA * half(gradients(x)).mean(0)
    np.testing.assert_allclose(models(run(ALL_REDUCE | HALF)), x, rtol=0, atol=1e-12)


def test_models_stay_the_same_when_workers_crash():
    faults = {"workers": {"mean_up_s": 20.0, "mean_down_s": 5.0}}
    link = {"kind": "dedicated", "latency_s": 0.5, "bandwidth_bps": 1e3}
    found = models(run(ALL_REDUCE | EXACT, faults=faults, link=link))
    x = np.zeros((N, D))
    for _ in range(50):
        x = x - ALPHA * gradients(x).mean(0)
    np.testing.assert_allclose(found, x, rtol=0, atol=1e-12)


def test_it_uses_a_ring_whatever_the_network_has():
    given = setting(ALL_REDUCE, workers=5, topology="star")
    assert Simulation(given).workers[3].neighbours == [2, 4]
    given = setting(ALL_REDUCE | {"topology": "complete"}, workers=5)
    assert simulate(given).outcome.stopped_by == "rounds"


def test_it_refuses_a_graph_without_the_ring():
    with pytest.raises(
        ScenarioError, match=r"worker 1 has no link to worker 2.*leave topology out"
    ):
        Simulation(setting(ALL_REDUCE | {"topology": "star"}, workers=4))


def test_it_refuses_vectors_whose_sums_are_longer():
    with pytest.raises((ScenarioError, NestedError), match="must be of kind 'none'"):
        setting(ALL_REDUCE | {"compressor": {"kind": "random-rounding", "grid": 0.1, "range": 1.0}})
