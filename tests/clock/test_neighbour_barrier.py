"""Waiting for one's own neighbours only: faster than a global barrier, but only if speeds vary."""

import numpy as np
import pytest
from builders import setting, simulate

RING = {
    "workers": 16,
    "topology": "ring",
    "link": {"kind": "dedicated", "bandwidth_bps": 128.0, "latency_s": 0.5},
}


def round_s(barrier, **changes):
    method = {"kind": "dsgd", "batch": 20, "barrier": barrier}
    trial = simulate(setting(method, **(RING | changes)))
    return trial.outcome.time_s / trial.outcome.rows[-1].round


@pytest.mark.parametrize("barrier", ["global", "neighbors"])
def test_constant_speeds_give_batch_over_speed_plus_message(barrier):
    constant = {"kind": "uniform-speed", "low": 40.0, "high": 40.0}
    # 20 / 40 + 128 / 128 + 0.5 = 2 s
    assert round_s(barrier, stragglers=constant, stop={"rounds": 50}) == pytest.approx(
        2.0, abs=1e-12
    )


def test_random_speeds_are_waited_for_less_by_neighbours_than_by_all():
    # A round cannot be shorter than the mean of the slowest of three (one's own and two
    # neighbours'), nor longer than the global one; over 500 rounds both are known to 1 %.
    random = {"stragglers": {"kind": "uniform-speed", "low": 10.0, "high": 90.0}}
    rounds = {"stop": {"rounds": 500}}
    every = round_s("global", **random, **rounds)
    near = round_s("neighbors", **random, **rounds)
    draws = 20 / np.random.default_rng(0).uniform(10, 90, (3, 200_000))
    assert draws.max(0).mean() + 1.5 < near < 0.93 * every


def test_neighbours_are_never_more_than_one_round_apart_when_gathering():
    random = {"kind": "uniform-speed", "low": 10.0, "high": 90.0}
    method = {"kind": "dsgd", "batch": 20, "barrier": "neighbors"}
    trial = simulate(setting(method, **RING, stragglers=random, stop={"rounds": 200}))
    starts = [trial.rows("compute", i).start_s.to_numpy() for i in range(16)]
    for i in range(16):
        mine, next_ones = starts[i], starts[(i + 1) % 16]
        both = min(len(mine), len(next_ones)) - 1
        # Round t + 1 begins after the neighbour has finished computing round t, which began before.
        assert (mine[1 : both + 1] > next_ones[:both]).all()
        assert (next_ones[1 : both + 1] > mine[:both]).all()
    # Far apart, they drift: otherwise this would be a global barrier.
    assert max(len(s) for s in starts) - min(len(s) for s in starts) >= 1
