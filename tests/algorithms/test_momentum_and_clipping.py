"""The optimizer against torch's own: one worker's gradients, step by step."""

import numpy as np
import pytest
import torch
from builders import models, setting
from one_sample_each import CURVATURES, ONE_EACH, SEED, D, N, thetas

from desim.engine.simulation import Simulation
from desim.errors import ScenarioError
from desim.tensors.optimizer import Clip, Optimizer

ALPHA, ROUNDS = 0.2, 25
CASES = [
    {"momentum": 0.9},
    {"momentum": 0.9, "nesterov": True},
    {"weight_decay": 0.3},
    {"clip_norm": 0.5},
    {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1, "clip_norm": 0.7},
]


def with_torch(theta, optimizer, steps):
    """SGD on h/2 (x - theta)^2, as torch does it."""
    h = torch.from_numpy(CURVATURES)
    x = torch.zeros(D, dtype=torch.float64, requires_grad=True)
    fields = {key: value for key, value in optimizer.items() if key != "clip_norm"}
    sgd = torch.optim.SGD([x], lr=ALPHA, **fields)
    for _ in range(steps):
        sgd.zero_grad()
        (0.5 * (h * (x - theta).square()).sum()).backward()
        if "clip_norm" in optimizer:
            torch.nn.utils.clip_grad_norm_([x], optimizer["clip_norm"])
        sgd.step()
    return x.detach().numpy()


def local(optimizer, **changes):
    """Workers that never mix: each does SGD on its own sample."""
    table = {"kind": "local-dsgd", "batch": 1, "local_steps": 10**6, "optimizer": optimizer}
    step_size = {"kind": "constant", "alpha": ALPHA}
    fields = {"problem": ONE_EACH, "workers": N, "stop": {"rounds": ROUNDS}, "seed": SEED} | changes
    simulation = Simulation(setting(table | {"step_size": step_size}, **fields))
    simulation.run()
    return simulation


@pytest.mark.parametrize("optimizer", CASES, ids=str)
@pytest.mark.parametrize(
    "faults", [None, {"workers": {"mean_up_s": 5.0, "mean_down_s": 1.0}}], ids=["whole", "crashes"]
)
def test_it_is_torchs_sgd_also_when_workers_crash(optimizer, faults):
    simulation = local(optimizer, faults=faults)
    expected = [
        with_torch(torch.from_numpy(row), optimizer, worker.steps)
        for row, worker in zip(thetas(), simulation.workers, strict=True)
    ]
    # torch adds 1e-6 to the norm that it clips by.
    rtol = 1e-4 if "clip_norm" in optimizer else 1e-9
    np.testing.assert_allclose(models(simulation), expected, rtol=rtol)


def test_a_crash_that_costs_the_model_costs_the_velocity_too():
    # Down after its first 10 steps and before the 11th ends: then 10 more from the beginning.
    outage = {"worker": 1, "down_s": 10.5, "up_s": 11.0}
    faults = {"workers": [outage], "model": "reset"}
    simulation = local({"momentum": 0.9}, faults=faults, stop={"time_s": 21.5})
    fresh = local({"momentum": 0.9}, stop={"time_s": 10.5})
    assert simulation.workers[1].steps == 20
    np.testing.assert_allclose(models(simulation)[1], models(fresh)[1], rtol=1e-12)


def test_a_batch_without_samples_moves_nothing():
    table = {"kind": "quantimed-dsgd", "deadline_s": 0.5, "optimizer": {"weight_decay": 0.5}}
    simulation = Simulation(setting(table, problem=ONE_EACH, workers=N))
    simulation.run()
    assert not models(simulation).any()


def test_clipping_keeps_short_gradients_and_zero_as_they_are():
    rows = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    expected = torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]])
    torch.testing.assert_close(Clip(1.0)(rows), expected)


def test_what_makes_no_sense_is_refused():
    for fields in ({"nesterov": True}, {"momentum": 1.0}, {"clip_norm": 0.0}, {"decay": 0.1}):
        with pytest.raises(ScenarioError):
            Optimizer(**fields)
