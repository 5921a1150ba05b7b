"""What a gradient costs: operations and bytes, against closed forms."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from builders import examples, fitting, label
from torch import nn

from desim.errors import ModelError
from desim.streams import Streams
from desim.tensors import cost
from desim.tensors.cost import Cost, count, totals
from desim.tensors.datasets.base import Data, Shape
from desim.tensors.models.base import Model
from desim.tensors.problem import Problem


def mlp(*sizes):
    model = Model.parse({"kind": "mlp", "hidden": list(sizes[1:-1])})
    return model.build(Shape((sizes[0],), sizes[-1]))


def mlp_flops(*sizes):
    """Of n x m weights: forward, weight gradient and, but in the first layer, input gradient.

    Each is a matrix product with n m multiply-adds a sample, of two operations; biases and
    activations are elementwise and not counted. Of 6 per parameter there remain 6 n m, less 2 n m
    in the first layer: data have no gradient.
    """
    products = [n * m for n, m in pairwise(sizes)]
    return 6 * sum(products) - 2 * products[0]


@pytest.mark.parametrize("sizes", [(784, 50, 10), (1024, 30, 20, 20, 25, 2), (3, 4)])
def test_operations_of_a_perceptron(sizes):
    module = mlp(*sizes) if len(sizes) > 2 else nn.Linear(*sizes)
    found = count(module, sizes[:1])
    assert found.flops_per_sample == mlp_flops(*sizes)
    assert found.flops_fixed == 0


def test_the_papers_network():
    """2 (784 50) 2 + 2 (50 10) 3 operations; bytes as in the next tests, with a sigmoid."""
    found = count(mlp(784, 50, 10), (784,))
    assert found == Cost(
        flops_per_sample=159_800,
        bytes_per_sample=4 * 2168,
        bytes_fixed=4 * 80_023,
        flops_fixed=0,
        operators=11,
    )


def test_operations_of_convolutions():
    """c x c' x k x k multiply-adds for each output pixel, three times; the first layer twice."""
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 5, stride=2, padding=2)
    )
    first, second = 3 * 8 * 9 * (12 * 10), 8 * 4 * 25 * (6 * 5)
    assert count(module, (3, 12, 10)).flops_per_sample == 4 * first + 6 * second


def test_bytes_of_a_linear_layer():
    """By hand, in numbers of 4 bytes, n inputs, m outputs and a batch of b:

    forward: bias m, inputs b n, weights m n, outputs b m; the sum as loss: reads b m, writes 1;
    its gradient's 1: reads 1, writes 1;
    backward: weights' gradient m n of b m and b n; bias's gradient m of b m.
    """
    n, m = 5, 3
    found = count(nn.Linear(n, m), (n,))
    assert found.bytes_fixed == 4 * (m + m * n + 1 + 2 + m * n + m)
    assert found.bytes_per_sample == 4 * (n + m + m + m + n + m)


def test_bytes_of_layers_in_between():
    """The second layer also computes its input's gradient: reads b k and m k, writes b m."""
    n, m, k = 6, 5, 4
    two = count(nn.Sequential(nn.Linear(n, m), nn.Linear(m, k)), (n,))
    one, other = count(nn.Linear(n, m), (n,)), count(nn.Linear(m, k), (m,))
    loss_fixed, loss_per_sample = 4 * 3, 4 * m  # only one sum is left, over the k outputs
    assert two.bytes_fixed == one.bytes_fixed + other.bytes_fixed - loss_fixed + 4 * m * k
    assert two.bytes_per_sample == (
        one.bytes_per_sample + other.bytes_per_sample - loss_per_sample + 4 * (k + m)
    )


def test_bytes_follow_the_type_of_the_parameters():
    single, double = (count(mlp(7, 5, 3).to(t), (7,)) for t in (torch.float32, torch.float64))
    assert double.bytes_per_sample == 2 * single.bytes_per_sample
    assert double.bytes_fixed == 2 * single.bytes_fixed
    assert double.flops_per_sample == single.flops_per_sample


@pytest.mark.parametrize("model", examples("models"), ids=label)
def test_the_cost_of_every_model_is_a_straight_line_in_the_batch(model):
    module, shape = fitting(model)
    found = count(module, shape.inputs)
    assert (found.flops_per_sample > 0) == (model.kind != "quadratic")  # which is elementwise
    assert found.flops_fixed == 0
    assert found.bytes_per_sample > 0
    assert found.bytes_fixed >= 2 * 4 * sum(p.numel() for p in module.parameters())
    for batch in (2, 16, 100):
        assert totals(module, shape.inputs, batch) == (
            batch * found.flops_per_sample,
            found.bytes_fixed + batch * found.bytes_per_sample,
            found.operators,
        )


class Product(nn.Module):
    """Linear with weights of rank r, a product that is computed anew for every gradient."""

    def __init__(self, n, m, r):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.ones(n, r)), nn.Parameter(torch.ones(r, m))

    def forward(self, x):
        return x @ (self.a @ self.b)


def test_what_is_computed_from_the_parameters_alone_is_fixed():
    n, m, r = 6, 5, 2
    found = count(Product(n, m, r), (n,))
    assert found.flops_fixed == 6 * n * m * r
    assert found.flops_per_sample == 4 * n * m


class Restless(nn.Module):
    """Has everything that counting could change: buffers, a counter, draws, frozen parameters."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(64, 3)
        )
        self.net[0].bias.requires_grad_(False)
        self.net[3].eval()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.net(x)


class NeedsNumbers(Restless):
    """Can't be followed by shapes alone."""

    def forward(self, x):
        assert float(x.sum()) < 1e9
        return super().forward(x)


@pytest.mark.parametrize("kind", [Restless, NeedsNumbers])
def test_counting_changes_nothing(kind):
    torch.manual_seed(0)
    module = kind()
    module(torch.randn(5, 2, 6, 6)).sum().backward()
    before, state = copy.deepcopy(module), torch.random.get_rng_state()
    gradients = {name: copy.deepcopy(p.grad) for name, p in module.named_parameters()}
    assert count(module, (2, 6, 6)).flops_per_sample > 0
    assert torch.equal(torch.random.get_rng_state(), state)
    assert module.calls == before.calls == 1
    assert [m.training for m in module.modules()] == [m.training for m in before.modules()]
    for name, value in before.state_dict().items():
        assert torch.equal(module.state_dict()[name], value)
    for name, parameter in before.named_parameters():
        mine = module.get_parameter(name)
        assert mine.requires_grad == parameter.requires_grad
        torch.testing.assert_close(mine.grad, gradients[name], rtol=0, atol=0)


def test_a_module_that_needs_numbers_costs_the_same(monkeypatch):
    plain, other = (count(kind(), (2, 6, 6)) for kind in (Restless, NeedsNumbers))
    assert other.flops_per_sample == plain.flops_per_sample
    assert plain.operators < other.operators <= plain.operators + 5  # the sum that it looks at
    monkeypatch.setattr(cost, "_MOST_FLOPS", -1.0)  # too large to be run, if need not be
    assert count(NeedsNumbers(), (2, 6, 6)) == other


def test_counting_leaves_the_number_of_threads_and_works_without_gradients():
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        with torch.no_grad():
            assert count(nn.Linear(3, 2), (3,)).flops_per_sample == 4 * 6
            assert not torch.is_grad_enabled()
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


class Lookup(nn.Module):
    """Token ids in, which must be of its vocabulary, and whole numbers."""

    def __init__(self, tokens):
        super().__init__()
        self.embedding, self.linear = nn.Embedding(tokens, 8), nn.Linear(8, 3)

    def forward(self, ids):
        return self.linear(self.embedding(ids).mean(1))


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("samples", [1, 5, 100])
def test_token_ids_are_counted_as_the_data_has_them(dtype, samples):
    ids = np.random.default_rng(0).integers(0, 20, (samples, 6)).astype(dtype)
    y = np.zeros(samples, np.int64)
    problem = Problem(dataset=Data(ids, y, ids[:0], y[:0]), model=lambda: Lookup(20))
    assert problem.cost(Streams(0)).flops_per_sample == 3 * 2 * 8 * 3


def test_whole_numbers_are_floats_to_a_model_that_takes_no_others():
    pixels, y = np.full((9, 7), 200, np.uint8), np.zeros(9, np.int64)
    problem = Problem(dataset=Data(pixels, y, pixels[:0], y[:0]), model=lambda: nn.Linear(7, 2))
    assert problem.cost(Streams(0)) == count(nn.Linear(7, 2), (7,))


class Positive(nn.Linear):
    """Reads its inputs' numbers."""

    def forward(self, x):
        assert x.min() > 0
        return super().forward(x)


def test_a_model_reads_the_datas_own_numbers():
    x, y = np.ones((9, 7)), np.zeros(9, np.int64)
    problem = Problem(dataset=Data(x, y, x[:0], y[:0]), model=lambda: Positive(7, 2))
    assert problem.cost(Streams(0)).flops_per_sample == 2 * 2 * 14


@pytest.mark.parametrize(
    "dataset",
    [
        {"kind": "digits"},
        {"kind": "quadratic", "dimension": 64, "samples": 100},
        {"kind": "cifar10", "folder": "nowhere"},
    ],
    ids=lambda table: table["kind"],
)
def test_data_that_come_with_desim_are_not_loaded_for_it(dataset, monkeypatch):
    problem = Problem(dataset=dataset, model="softmax")
    monkeypatch.setattr(type(problem.dataset), "load", lambda self: pytest.fail("loads"))
    if dataset["kind"] != "cifar10":  # whose shape stands in its files
        assert problem.cost(Streams(0)).flops_per_sample > 0
    else:
        monkeypatch.setattr(type(problem.dataset), "shape", lambda self: Shape((3072,), 10))
        assert problem.cost(Streams(0)).flops_per_sample == 4 * 30_720


@pytest.mark.parametrize(
    "table", [{"kind": "digits"}, {"kind": "quadratic", "dimension": 5, "samples": 9}]
)
def test_zeros_that_stand_in_for_data_are_like_them(table):
    dataset = Problem(dataset=table, model="softmax").dataset
    sample, inputs = dataset.sample(3), dataset.load().train_x[:3]
    assert sample.shape == inputs.shape
    assert sample.dtype.kind == inputs.dtype.kind


def test_frozen_layers_cost_what_autograd_does_for_them():
    """Of two linear layers: forward 2 n m each, weights' gradient 2 n m, inputs' gradient 2 n m.

    Below the first trained parameter nothing is passed backward; above, a frozen layer passes on.
    """
    n, m, k = 7, 5, 3

    def cost_of(*frozen):
        module = nn.Sequential(nn.Linear(n, m), nn.Tanh(), nn.Linear(m, k))
        for layer in frozen:
            module[layer].requires_grad_(False)
        return count(module, (n,)).flops_per_sample

    one, other = 2 * n * m, 2 * m * k
    assert cost_of() == 2 * one + 3 * other
    assert cost_of(0) == one + 2 * other
    assert cost_of(2) == 2 * one + 2 * other


class Adapted(nn.Module):
    """LoRA (Hu et al. 2021, arXiv:2106.09685): a frozen layer and two small trained matrices."""

    def __init__(self, n, m, r):
        super().__init__()
        self.base = nn.Linear(n, m).requires_grad_(False)
        self.a, self.b = nn.Linear(n, r, bias=False), nn.Linear(r, m, bias=False)

    def forward(self, x):
        return self.base(x) + self.b(self.a(x))


def test_an_adapter_costs_its_own_gradient():
    n, m, r = 64, 48, 4
    found = count(Adapted(n, m, r), (n,))
    assert found.flops_per_sample == 2 * n * m + 2 * 2 * n * r + 3 * 2 * r * m
    assert found.bytes_fixed < 4 * (n * m + 6 * (n + m) * r + 200)  # the base is read once


def test_a_module_that_cant_be_counted_is_refused_in_one_line():
    with pytest.raises(ModelError, match=r"problem\.model: the cost .* \(4, 7\): RuntimeErr") as e:
        count(nn.Linear(3, 2), (7,))
    assert "\n" not in str(e.value)
    with pytest.raises(ModelError, match="does not require grad"):
        count(nn.ReLU(), (3,))
