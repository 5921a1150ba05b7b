"""Frozen parameters are used, and neither trained nor sent: transfer learning and LoRA."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (torch's own convention)
from builders import models, setting
from torch import nn

from desim.engine.simulation import Simulation
from desim.errors import ModelError
from desim.measuring.plain_sgd import PlainSGD
from desim.streams import Streams
from desim.tensors.evaluation import loss_and_gradient, training_loss
from desim.tensors.layers import is_chain
from desim.tensors.problem import Problem

DSGD = {"kind": "dsgd", "batch": 4, "step_size": {"kind": "constant", "alpha": 0.3}}
LINK = {"kind": "dedicated", "bandwidth_bps": 1e6}


class LoRA(nn.Module):
    """W x + B A x (Hu et al. 2021, arXiv 2106.09685): W as a frozen parameter, or as a buffer."""

    def __init__(self, *, buffer=False, rank=2):
        super().__init__()
        base = nn.Linear(64, 10)
        if buffer:
            weight, bias = base.weight.detach(), base.bias.detach()
            self.register_buffer("weight", weight)
            self.register_buffer("bias", bias)
        else:
            self.weight, self.bias = base.requires_grad_(False).parameters()
        self.a = nn.Parameter(torch.randn(rank, 64) / 8)
        self.b = nn.Parameter(torch.zeros(10, rank))

    def forward(self, x):
        x = x.flatten(1)
        return F.linear(x, self.weight, self.bias) + x @ self.a.T @ self.b.T


def frozen_base(depth):
    """A chain whose first layers are frozen."""

    def build():
        made = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, 12),
            nn.ReLU(),
            nn.Linear(12, 8),
            nn.Tanh(),
            nn.Linear(8, 10),
        )
        made[: 2 * depth].requires_grad_(False)
        return made

    return build


def problem(model, **changes):
    return Problem(dataset="digits", model=model, samples_per_worker=20, **changes)


def run(given, rounds=6):
    simulation = Simulation(
        setting(
            DSGD,
            workers=4,
            problem=given,
            link=LINK,
            stop={"rounds": rounds},
            evaluate={"every_rounds": 2},
        )
    )
    return simulation, simulation.run()


def test_a_low_rank_adapter_is_all_that_is_trained_and_sent():
    given = problem(LoRA)
    assert given.parameters(Streams(0)) == 2 * 64 + 10 * 2
    assert given.layers(Streams(0)) == (128, 20)
    start = given.module(Streams(0))
    simulation, outcome = run(given)
    # On a ring each worker sends its model to two neighbours in each of 6 rounds.
    assert outcome.rows[-1].bits_sent == 6 * 4 * 2 * 148 * 32
    trained = simulation._record._task.objective.module
    assert torch.equal(trained.weight, start.weight)
    assert torch.equal(trained.bias, start.bias)
    found = models(simulation)
    assert found.shape == (4, 148)
    assert np.abs(found - found[0]).max() > 1e-4
    assert outcome.rows[-1]["train_loss"] < outcome.rows[0]["train_loss"] - 0.02


def test_a_frozen_parameter_is_the_same_as_a_buffer():
    """In losses, times and messages: bit for bit."""
    rows = [run(problem(lambda b=buffer: LoRA(buffer=b)))[1].rows for buffer in (False, True)]
    for one, other in zip(*rows, strict=True):
        assert (one.time_s, one.bits_sent) == (other.time_s, other.bits_sent)
        assert one.values == other.values


@pytest.mark.parametrize("depth", [1, 2])
def test_frozen_layers_of_a_chain_stay_as_they_are(depth):
    given = problem(frozen_base(depth))
    sizes = (12 * 64, 12, 8 * 12, 8, 80, 10)[2 * depth :]
    assert given.layers(Streams(0)) == sizes
    start = given.module(Streams(0))
    simulation, outcome = run(given)
    assert outcome.rows[-1].bits_sent == 6 * 4 * 2 * sum(sizes) * 32
    objective = simulation._record._task.objective
    assert is_chain(objective.module, 2)
    for before, after in zip(start.parameters(), objective.module.parameters(), strict=True):
        assert torch.equal(before, after)  # what is trained lies in the store
    assert objective.parameters == sum(sizes)


def test_nothing_is_computed_behind_the_first_layer_that_is_trained(monkeypatch):
    """Three layers of which two are frozen: three products forward, one back, not five."""
    simulation, _ = run(problem(frozen_base(2)), rounds=1)
    products = []

    def counted(function):
        def call(*arguments, **options):
            products.append(function)
            return function(*arguments, **options)

        return call

    with monkeypatch.context() as patched:
        for name in ("bmm", "matmul"):
            patched.setattr(torch, name, counted(getattr(torch, name)))
        kernel = simulation.tape.kernels._gradient
        task = simulation._record._task
        row = task.objective.pack()[None]
        one = torch.ones(1, 1)
        kernel._chain(
            row, task.train_x[None, :1], task.train_y[None, :1], one, one[0], torch.empty_like(row)
        )
    assert len(products) == 4


def test_the_ridge_is_over_what_is_trained():
    given = problem(LoRA, l2=0.5)
    task = given.task(4, Streams(0), torch.device("cpu"))
    row = torch.linspace(-1, 1, 148)
    without = problem(LoRA).task(4, Streams(0), torch.device("cpu"))
    ridge = 0.25 * float(row.square().sum())
    assert training_loss(task, row) - training_loss(without, row) == pytest.approx(ridge, rel=1e-5)
    difference = loss_and_gradient(task, row)[1] - loss_and_gradient(without, row)[1]
    torch.testing.assert_close(difference, 0.5 * row, rtol=0, atol=1e-5)


def test_a_regulariser_sees_what_is_trained():
    seen = []

    def regulariser(parameters, batch):
        seen.append(set(parameters))
        return 0 * batch

    run(problem(LoRA, regulariser=regulariser), rounds=1)
    assert seen
    assert all(names == {"a", "b"} for names in seen)


def test_the_optimum_is_that_of_what_is_trained():
    """A frozen layer's features, and softmax regression on them: convex, found in float64."""
    given = problem(frozen_base(2), l2=0.01)
    simulation = Simulation(
        setting(DSGD, workers=4, problem=given, evaluate={"every_rounds": 1, "optimum": True})
    )
    outcome = simulation.run()
    task = simulation._record._task
    assert outcome.optimal_loss < training_loss(task, task.objective.pack())


def test_a_calibration_trains_the_same_parameters():
    loop = PlainSGD(problem(LoRA), Streams(0))
    before = copy.deepcopy(loop._module)
    loop.step(8)
    loop.step(8)
    assert loop.parameters == 148
    assert torch.equal(before.weight, loop._module.weight)
    assert not torch.equal(before.b, loop._module.b)


def test_a_module_without_anything_to_train_is_refused():
    with pytest.raises(ModelError, match=r"^problem\.model: Linear has frozen parameters only"):
        problem(lambda: nn.Linear(64, 10).requires_grad_(False)).parameters(Streams(0))
    with pytest.raises(ModelError, match=r"^problem\.model: Flatten has no parameters"):
        problem(nn.Flatten()).parameters(Streams(0))
