"""Modules whose gradient can't be taken for many workers at once are refused by name."""

import numpy as np
import pytest
import torch
from torch import nn

from desim.errors import ModelError
from desim.streams import Streams
from desim.tensors.datasets.base import Data
from desim.tensors.problem import Problem


def task(module, targets=None, loss="cross-entropy"):
    random = np.random.default_rng(0)
    x = random.standard_normal((20, 6))
    y = np.arange(20, dtype=np.int64) % 3 if targets is None else targets
    problem = Problem(dataset=Data(x, y, x[:0], y[:0]), model=module, loss=loss)
    return problem.task(2, Streams(0), torch.device("cpu"))


def refusal(module, **options):
    with pytest.raises(ModelError) as error:
        task(module, **options)
    text = str(error.value)
    assert text.startswith("problem.model: ")
    assert "\n" not in text
    return text


def test_batch_normalisation_is_named_with_what_to_use_instead():
    text = refusal(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)))
    assert "1 (BatchNorm1d)" in text
    assert "use GroupNorm or LayerNorm" in text


class Centre(nn.Module):
    """Subtracts the batch's mean."""

    def forward(self, x):
        return x - x.mean(0)


class Neighbour(nn.Module):
    """Adds the sample before."""

    def forward(self, x):
        return x + x.roll(1, 0)


class Sum(nn.Module):
    """Adds the sum of the batch."""

    def forward(self, x):
        return x + x.sum(0)


@pytest.mark.parametrize("layer", [Sum, Neighbour, Centre])
def test_a_layer_that_mixes_samples_is_refused(layer):
    text = refusal(nn.Sequential(nn.Linear(6, 4), layer(), nn.Tanh(), nn.Linear(4, 3)))
    assert "depends on the other samples of the batch" in text


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.gate = nn.Linear(6, 3), nn.Identity()

    def forward(self, x):
        x = self.gate(self.linear(x))
        return x if x.sum() > 0 else -x


def test_a_branch_on_values_is_refused_with_torchs_reason():
    text = refusal(Branching())
    assert "gate (Identity)" in text
    assert "data-dependent control flow" in text


def test_the_check_leaves_no_trace_in_the_module():
    module = nn.Sequential(nn.Linear(6, 3), nn.Tanh())
    built = task(module).objective.module
    assert not any(m._forward_pre_hooks for m in built.modules())
    torch.testing.assert_close(built[0].weight, module[0].weight)


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(6, 3),
        nn.Sequential(nn.Linear(6, 4), nn.LayerNorm(4), nn.GELU(), nn.Linear(4, 3)),
        nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Conv1d(2, 4, 2), nn.GroupNorm(2, 4), nn.Flatten(),
                      nn.Linear(8, 3)),
    ],
    ids=["linear", "LayerNorm", "Conv1d and GroupNorm"],
)  # fmt: skip
def test_ordinary_modules_pass(module):
    assert task(module).objective.parameters > 0
