"""What a gradient costs: operations and bytes, against closed forms."""

import copy
from itertools import pairwise

import pytest
import torch
from builders import examples, fitting, label
from torch import nn

from desim.errors import ModelError
from desim.tensors.cost import Cost, count, totals
from desim.tensors.datasets.base import Shape
from desim.tensors.models.base import Model


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
    cost = count(module, sizes[:1])
    assert cost.flops_per_sample == mlp_flops(*sizes)
    assert cost.flops_fixed == 0


def test_the_papers_network():
    """2 (784 50) 2 + 2 (50 10) 3 operations; bytes as in the next tests, with a sigmoid."""
    cost = count(mlp(784, 50, 10), (784,))
    assert cost == Cost(
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
    cost = count(nn.Linear(n, m), (n,))
    assert cost.bytes_fixed == 4 * (m + m * n + 1 + 2 + m * n + m)
    assert cost.bytes_per_sample == 4 * (n + m + m + m + n + m)


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
    cost = count(module, shape.inputs)
    assert (cost.flops_per_sample > 0) == (model.kind != "quadratic")  # which is elementwise
    assert cost.flops_fixed == 0
    assert cost.bytes_per_sample > 0
    assert cost.bytes_fixed >= 2 * 4 * sum(p.numel() for p in module.parameters())
    for batch in (2, 16, 100):
        assert totals(module, shape.inputs, batch) == (
            batch * cost.flops_per_sample,
            cost.bytes_fixed + batch * cost.bytes_per_sample,
            cost.operators,
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
    cost = count(Product(n, m, r), (n,))
    assert cost.flops_fixed == 6 * n * m * r
    assert cost.flops_per_sample == 4 * n * m


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
    """Can't run on the meta device."""

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


def test_a_module_that_needs_numbers_is_counted_on_the_cpu():
    plain, other = (count(kind(), (2, 6, 6)) for kind in (Restless, NeedsNumbers))
    assert other.flops_per_sample == plain.flops_per_sample
    assert other.bytes_per_sample > plain.bytes_per_sample  # the sum that it looks at


def test_a_module_that_cant_be_counted_is_refused_in_one_line():
    with pytest.raises(ModelError, match=r"problem\.model: the cost .* \(4, 7\): RuntimeErr") as e:
        count(nn.Linear(3, 2), (7,))
    assert "\n" not in str(e.value)
    with pytest.raises(ModelError, match="does not require grad"):
        count(nn.ReLU(), (3,))
