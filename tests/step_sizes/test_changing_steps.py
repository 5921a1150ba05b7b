"""Step sizes that change during a run reach every method, on its own clock."""

import numpy as np
import pytest
from algorithms.one_sample_each import EXACT, ONE_EACH, SEED, N, gradients, mixing
from builders import models, problem, setting, simulate, speeds

from desim.engine.simulation import Simulation
from desim.errors import ScenarioError
from desim.step_sizes.base import StepSize
from desim.step_sizes.warm_up import WarmUp
from desim.tuning.shared_clock import SharedClock

DECAY = {"kind": "inverse-time", "alpha": 0.3, "over_steps": 4}


def decayed(step):
    return 0.3 / (1 + step / 4)


def test_dsgd_follows_the_recursion_with_the_step_of_each_round():
    method = {"kind": "dsgd", "batch": 1} | EXACT
    simulation = ran(method, DECAY)
    x, w = np.zeros((N, 5)), mixing(simulation)
    for t in range(30):
        x = w @ x - decayed(t) * gradients(x)
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)


def ran(method, step_size, rounds=30, **changes):
    fields = {"workers": N, "topology": {"kind": "erdos-renyi", "p": 0.5}, "seed": SEED}
    fields |= {"stop": {"rounds": rounds}, "problem": ONE_EACH}
    simulation = Simulation(setting(method | {"step_size": step_size}, **(fields | changes)))
    simulation.run()
    return simulation


@pytest.mark.parametrize("kind", ["d2", "dsgt"])
def test_the_mean_model_of_a_corrected_method_makes_plain_steps(kind):
    """Their corrections cancel in the mean, with the step that each gradient was scaled by."""
    trajectory = [ran({"kind": kind, "batch": 1} | EXACT, DECAY, rounds=t) for t in (7, 8)]
    before, after = (models(simulation) for simulation in trajectory)
    mean = before.mean(0) - decayed(7) * gradients(before).mean(0)
    np.testing.assert_allclose(after.mean(0), mean, rtol=0, atol=1e-12)


def test_in_seconds_a_slow_worker_is_as_far_as_a_fast_one():
    """Nobody waits: worker 0 makes four steps a second, the others one; all see the same clock."""
    asked = []

    class Noted(StepSize):
        alpha: float

        def at(self, step, time_s):
            asked.append((step, time_s))
            return self.alpha, 1.0

    method = {"kind": "async-dsgd", "batch": 1, "step_size": Noted(alpha=0.1)}
    simulate(setting(method, workers=3, stragglers=speeds(4, 1, 1), stop={"time_s": 2.5}))
    del asked[:1]  # the scenario's own question
    fast = sorted({time_s for step, time_s in asked if time_s % 1})
    assert fast == [0.25, 0.5, 0.75, 1.25, 1.5, 1.75, 2.25, 2.5]
    assert {step for step, time_s in asked if time_s == 2.0} == {7, 1}


def test_a_server_is_as_far_as_its_workers_in_the_mean():
    """Three equal workers: its k-th step is made at k / 3 rounds, so that T means the same."""
    asked = []

    class Noted(StepSize):
        alpha: float

        def at(self, step, time_s):
            asked.append(step)
            return self.alpha, 1.0

    method = {"kind": "sync-sgd", "batch": 1, "step_size": Noted(alpha=0.1)}
    simulate(setting(method, workers=3, stop={"rounds": 5}))
    assert sorted(set(asked)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["dsgd", "async-dsgd", "sync-sgd"])
def test_candidates_of_a_schedule_share_a_clock(kind):
    steps = [
        StepSize.parse({"kind": "cosine", "alpha": alpha, "over_s": 9.0}) for alpha in (0.1, 0.3)
    ]

    def trial(step_size):
        method = {"kind": kind, "batch": 2, "step_size": step_size}
        return setting(method, problem=problem(dtype="float64"), stop={"rounds": 12})

    together = SharedClock(trial(steps[0]), steps).run_all()
    alone = [Simulation(trial(step)).run() for step in steps]
    assert [repr(outcome) for outcome in together] == [repr(outcome) for outcome in alone]


@pytest.mark.parametrize(
    "given", [0.1, (0.1,), (-0.1, 1.0), (0.1, float("nan")), ("a", 1.0), (0.1, 0.0), None], ids=str
)
@pytest.mark.parametrize("around", [False, True])
def test_what_a_step_size_of_ones_own_gives_is_checked_at_every_step(given, around):
    class Late(StepSize):
        """Sound at first."""

        def at(self, step, time_s):
            return (0.1, 1.0) if step < 2 else given

    step_size = WarmUp(over_steps=1, after=Late()) if around else Late()
    method = {"kind": "dsgd", "batch": 1, "step_size": step_size}
    with pytest.raises(ScenarioError, match=r"Late.*gives .* at step 2, .*must be a pair of fin"):
        Simulation(setting(method, stop={"rounds": 4}), train=False).run()
