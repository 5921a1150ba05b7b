"""Gradients of many workers: by hand for chains, by vmap for the rest, and by plain autograd."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (torch's own convention)
from torch import nn

from desim.streams import Streams
from desim.tensors.datasets.base import Data
from desim.tensors.gradients import Gradients, groups
from desim.tensors.layers import is_chain
from desim.tensors.problem import Problem
from desim.tensors.refs import Gradient, Node
from desim.tensors.samples import Sampler
from desim.tensors.store import Store

WORKERS, SAMPLES = 5, 12
BATCHES = [1, 7, 3, 12, 7]


def data(shape=(6,), classes=3, floats=False):
    random = np.random.default_rng(0)
    x = random.standard_normal((WORKERS * SAMPLES, *shape))
    y = (
        random.standard_normal((len(x), classes))
        if floats
        else np.arange(len(x), dtype=np.int64) % 3
    )
    return Data(x, y, x[:0], y[:0])


class Case:
    """A problem, random models for five workers, and their gradients in several ways."""

    def __init__(self, module, given=None, loss="cross-entropy", **fields):
        self.make, self.given = module, given or data()
        self.problem = Problem(
            dataset=self.given, model=module, loss=loss, dtype="float64", **fields
        )
        streams = Streams(0)
        self.task = self.problem.task(WORKERS, streams, torch.device("cpu"))
        self.module, self.objective = self.task.objective.module, self.task.objective
        random = np.random.default_rng(1)
        shape = WORKERS, self.objective.parameters
        self.models = torch.from_numpy(random.standard_normal(shape))
        self.sampler = Sampler(streams, self.task.shards, "replacement")

    def batched(self, *, chain):
        """(workers, parameters), by the kernel."""
        store = Store(self.objective.parameters, 40, torch.float64, torch.device("cpu"))
        task = self.task
        kernel = Gradients(
            store, task.objective, self.sampler, task.train_x, task.train_y, Streams(0)
        )
        assert (kernel._chain is not None) == is_chain(self.module, self.task.train_x.ndim - 1)
        if not chain:
            kernel._chain = None
        nodes = self.nodes(store)
        kernel(nodes)
        return torch.stack([store.data[node.row] for node in nodes])

    def nodes(self, store):
        nodes = []
        for i in (3, 0, 4, 1, 2):  # rows in another order than the workers
            source = Node(i << 40, store, ())
            (source.row,) = store.take(1)
            store.data[source.row] = self.models[i]
            nodes.append(Gradient((i << 40) + 1, store, source, i, 2, 0, BATCHES[i]))
        return sorted(nodes, key=lambda node: node.order)

    def autograd(self, loss=F.cross_entropy, extra=None):
        """The same, worker by worker, with nothing but torch."""
        result = []
        for node in self.nodes(Store(self.objective.parameters, 9, torch.float64, "cpu")):
            module = self.make().double()
            nn.utils.vector_to_parameters(self.models[node.worker], module.parameters())
            chosen = torch.from_numpy(self.sampler.batch([node], node.batch)[0][0])
            outputs = module(self.task.train_x[chosen])
            value = loss(outputs, self.task.train_y[chosen])
            if extra is not None:
                value = value + extra(module, node.batch)
            value.backward()
            result.append(torch.cat([p.grad.flatten() for p in module.parameters()]))
        return torch.stack(result)

    def agree(self, **how):
        expected = self.autograd(**how)
        assert expected.abs().max() > 1e-3
        for chain in (True, False):
            torch.testing.assert_close(self.batched(chain=chain), expected, rtol=0, atol=1e-12)


def half_squared(outputs, targets):
    return 0.5 * (outputs - targets).square().sum(-1).mean()


CHAINS = {
    "linear": lambda: nn.Sequential(nn.Linear(6, 3)),
    "sigmoid": lambda: nn.Sequential(nn.Linear(6, 4), nn.Sigmoid(), nn.Linear(4, 3)),
    "tanh": lambda: nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)),
    "relu": lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)),
    "bias-free": lambda: nn.Sequential(
        nn.Linear(6, 4, bias=False), nn.Sigmoid(), nn.Linear(4, 3, bias=False)
    ),
    "deep": lambda: nn.Sequential(
        nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3), nn.Sigmoid()
    ),
    "two linear in a row": lambda: nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 3)),
    "one hidden unit": lambda: nn.Sequential(nn.Linear(6, 1), nn.Tanh(), nn.Linear(1, 3)),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains_by_hand_by_vmap_and_by_autograd_agree(name):
    case = Case(CHAINS[name])
    assert is_chain(case.module, case.task.train_x.ndim - 1)
    case.agree()


def test_images_are_flattened():
    case = Case(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.Sigmoid(), nn.Linear(4, 3)),
        data(shape=(1, 2, 3)),
    )
    assert is_chain(case.module, case.task.train_x.ndim - 1)
    case.agree()


def named():
    return nn.Sequential(OrderedDict(first=nn.Linear(6, 4), act=nn.Tanh(), last=nn.Linear(4, 3)))


def shared_activation():
    act = nn.Sigmoid()
    return nn.Sequential(nn.Linear(6, 4), act, nn.Linear(4, 3), act)


def shared_linear():
    layer = nn.Linear(6, 6)
    return nn.Sequential(layer, nn.Tanh(), layer)


def on_the_last_dimension():
    """Acts on the last dimension of (2, 6) inputs: not the matrix product of a flat input."""
    return nn.Sequential(nn.Linear(6, 3))


class Skip(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(6, 6), nn.LayerNorm(6), nn.Linear(6, 3)

    def forward(self, x):
        return self.b(x + torch.tanh(self.norm(self.a(x))))


UNUSUAL = {
    "named layers": named,
    "one activation used twice": shared_activation,
    "one linear layer used twice": shared_linear,
    "activation first": lambda: nn.Sequential(nn.Tanh(), nn.Linear(6, 3)),
    "softplus": lambda: nn.Sequential(nn.Linear(6, 4), nn.Softplus(), nn.Linear(4, 3)),
    "nested": lambda: nn.Sequential(nn.Sequential(nn.Linear(6, 4), nn.Tanh()), nn.Linear(4, 3)),
    "bare linear": lambda: nn.Linear(6, 3),
    "skip connection and LayerNorm": Skip,
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_modules_that_only_look_like_chains_have_the_right_gradient(name):
    Case(UNUSUAL[name]).agree()


def test_a_linear_layer_on_unflattened_inputs_has_the_right_gradient():
    # Linear acts on the last dimension: outputs (batch, 2, 3).
    random = np.random.default_rng(0)
    x = random.standard_normal((WORKERS * SAMPLES, 2, 6))
    y = random.standard_normal((WORKERS * SAMPLES, 2, 3))
    case = Case(on_the_last_dimension, Data(x, y, x[:0], y[:0]), loss="half-squared")
    case.agree(loss=lambda o, t: 0.5 * (o - t).square().flatten(1).sum(-1).mean())


@pytest.mark.parametrize("name", ["sigmoid", "bias-free"])
def test_the_ridge_adds_its_gradient(name):
    def extra(module, batch):
        return 0.15 * sum(p.square().sum() for p in module.parameters())

    Case(CHAINS[name], l2=0.3).agree(extra=extra)


@pytest.mark.parametrize("make", [CHAINS["sigmoid"], Skip], ids=["chain", "no chain"])
def test_a_regulariser_sees_the_parameters_and_the_size_of_the_batch(make):
    def regulariser(parameters, batch):
        return sum(p.pow(4).sum() for p in parameters.values()) / batch

    def extra(module, batch):
        return sum(p.pow(4).sum() for p in module.parameters()) / batch

    Case(make, regulariser=regulariser).agree(extra=extra)


@pytest.mark.parametrize("make", [CHAINS["tanh"], Skip], ids=["chain", "no chain"])
def test_a_loss_of_ones_own_is_differentiated(make):
    def loss(outputs, targets):
        return (outputs - targets[:, None]).abs().pow(3).sum(-1)

    Case(make, loss=loss).agree(loss=lambda outputs, targets: loss(outputs, targets).mean())


def test_squared_error_and_float_targets():
    case = Case(CHAINS["tanh"], data(floats=True), loss="half-squared")
    case.agree(loss=half_squared)


def test_a_gradient_does_not_depend_on_what_is_computed_with_it():
    case = Case(CHAINS["sigmoid"])
    together = case.batched(chain=True)
    store = Store(case.objective.parameters, 40, torch.float64, torch.device("cpu"))
    task = case.task
    kernel = Gradients(store, task.objective, case.sampler, task.train_x, task.train_y, Streams(0))
    for node in case.nodes(store):
        kernel([node])
        torch.testing.assert_close(store.data[node.row], together[node.worker], rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("sizes", "worth", "expected"),
    [
        ([5], 1, [(0, 1)]),
        ([4, 4, 4], 1, [(0, 3)]),
        # A cut after k of them saves k * (20 - size of the k-th) samples of padding.
        ([1, 1, 20], 38, [(0, 2), (2, 3)]),
        ([1, 1, 20], 39, [(0, 3)]),
        ([1, 10, 20], 1, [(0, 1), (1, 2), (2, 3)]),
        ([1, 10, 20], 20, [(0, 2), (2, 3)]),
        ([1, 10, 20], 21, [(0, 3)]),
    ],
)
def test_batches_are_split_where_it_saves_enough_padding(sizes, worth, expected):
    assert groups(sizes, worth) == expected


def test_groups_cover_everything_once_and_in_order():
    random = np.random.default_rng(0)
    for worth in (1, 50, 500):
        sizes = sorted(random.integers(1, 100, 60).tolist())
        bounds = groups(sizes, worth)
        assert [a for a, _ in bounds] == [0, *(b for _, b in bounds[:-1])]
        assert bounds[-1][1] == 60
        assert all(a < b for a, b in bounds)


@pytest.mark.parametrize("chain", [True, False])
def test_splitting_batches_changes_no_gradient(chain, monkeypatch):
    case = Case(CHAINS["sigmoid"])
    expected = case.batched(chain=chain)
    monkeypatch.setattr("desim.tensors.gradients._SPLIT_SAVES", 1.0)
    torch.testing.assert_close(case.batched(chain=chain), expected, rtol=0, atol=1e-14)
    monkeypatch.setattr("desim.tensors.gradients._CALL_NUMBERS", 1)  # one worker a call
    torch.testing.assert_close(case.batched(chain=chain), expected, rtol=0, atol=1e-14)
