"""Partial all-reduce: a run is its groups in order, whoever is slow; and no circle of waiting."""

import numpy as np
import pytest
from builders import models, setting, simulate, speeds
from hypothesis import given, settings
from hypothesis import strategies as st
from one_sample_each import ALPHA, CURVATURES, EXACT, ONE_EACH, SEED, D, N, gradients, run, thetas

from desim.algorithms.parts.groups import Groups
from desim.engine.simulation import Simulation
from desim.errors import ScenarioError

PRAGUE = {"kind": "prague", "batch": 3}
LINK = {"kind": "dedicated", "latency_s": 0.02, "bandwidth_bps": 1e4}


class Given(Groups):
    """Groups as they are written down."""

    def __init__(self, workers, script):
        super().__init__(workers)
        self._script = iter(script)

    def draw(self, worker):
        return next(self._script)


def test_members_come_to_their_groups_by_ascending_numbers():
    groups = Given(4, [[[0, 1], [2, 3]], [[2, 0]], [[1, 3]]])
    assert groups.next(1) == (0, [0, 1])
    assert groups.next(1) == (0, [0, 1])  # until it is done with it
    groups.end(1)
    assert groups.next(3) == (1, [2, 3])
    groups.end(2)
    assert groups.next(2) == (2, [2, 0])
    assert groups.next(0) == (0, [0, 1])  # 2 waits for it
    groups.end(0)
    assert groups.next(0) == (2, [2, 0])
    assert groups.free == [1]
    assert groups.next(1) == (3, [1, 3])
    assert groups.ended == [1, 1, 1, 0]


def test_a_group_of_all_averages_all_models():
    found = models(run(PRAGUE | EXACT | {"group": N}))
    x = np.zeros((N, D))
    for _ in range(50):
        x = np.tile((x - ALPHA * gradients(x)).mean(0), (N, 1))
    np.testing.assert_allclose(found, x, rtol=0, atol=1e-12)
    assert len({row.tobytes() for row in found}) == 1


@pytest.mark.parametrize("faults", [None, {"workers": {"mean_up_s": 30.0, "mean_down_s": 5.0}}])
@pytest.mark.parametrize("grouping", ["division", "random"])
def test_a_run_is_its_groups_in_order(grouping, faults):
    method = PRAGUE | EXACT | {"grouping": grouping, "group": 2}
    step_size = {"kind": "constant", "alpha": ALPHA}
    fields = {"workers": N, "problem": ONE_EACH, "seed": SEED, "link": LINK, "faults": faults}
    fields |= {"stragglers": speeds(1, 2, 3, 4, 5, 0.5), "stop": {"rounds": 15}}
    simulation = Simulation(setting(method | {"step_size": step_size}, **fields))
    groups, drawn = simulation.workers[0].common.groups, []
    draw = groups.draw
    groups.draw = lambda worker: drawn.extend(new := draw(worker)) or new
    simulation.run()
    assert all(len(group) <= 2 for group in drawn)
    x, left, theta = np.zeros((N, D)), np.array(groups.ended), thetas()
    for group in drawn:
        mean = (x[group] - ALPHA * CURVATURES * (x[group] - theta[group])).mean(0)
        for member in group:
            x[member] = mean if left[member] else x[member]
            left[member] = max(0, left[member] - 1)
    assert not left.any()
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)


def test_a_slow_worker_is_left_out_where_that_is_asked_for():
    fields = {"workers": 6, "stragglers": speeds(1, 1, 1, 1, 1, 0.05), "stop": {"steps": 300}}
    method = PRAGUE | {"batch": 1, "grouping": "random", "group": 2}
    free, filtered = (
        simulate(setting(method | lag, **fields)).outcome.time_s for lag in ({}, {"max_lag": 1})
    )
    # Five workers end 1 step a second each at most; free, they all wait for the slow one by turns.
    assert 60 <= filtered < free / 2


@settings(max_examples=30, deadline=None)
@given(
    workers=st.integers(2, 5),
    size=st.integers(2, 5),
    grouping=st.sampled_from(["division", "random"]),
    max_lag=st.none() | st.integers(1, 3),
    pace=st.lists(st.sampled_from([0.3, 1.0, 1.7, 9.0]), min_size=5, max_size=5),
    seed=st.integers(0, 99),
)
def test_nobody_waits_in_a_circle(workers, size, grouping, max_lag, pace, seed):
    method = PRAGUE | {"group": min(size, workers), "grouping": grouping, "max_lag": max_lag}
    fields = {"stragglers": speeds(*pace[:workers]), "link": LINK, "seed": seed}
    outcome = simulate(setting(method, workers=workers, **fields, stop={"rounds": 8})).outcome
    assert outcome.stopped_by == "rounds", outcome.stalled


def test_it_refuses_groups_that_can_not_be():
    with pytest.raises(ScenarioError, match="group = 4: there are 3 workers"):
        Simulation(setting(PRAGUE | {"group": 4}, workers=3))
    with pytest.raises(ScenarioError, match="every two workers must be linked"):
        Simulation(setting(PRAGUE | {"topology": "ring"}, workers=5))
