"""Modules whose gradient can't be taken for many workers at once are refused by name."""

import re
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from desim.errors import ModelError
from desim.streams import Streams
from desim.tensors.datasets.base import Data
from desim.tensors.problem import Problem


def task(module, targets=None, loss="cross-entropy", dtype="float32"):
    random = np.random.default_rng(0)
    x = random.standard_normal((20, 6))
    y = np.arange(20, dtype=np.int64) % 3 if targets is None else targets
    problem = Problem(dataset=Data(x, y, x[:0], y[:0]), model=module, loss=loss, dtype=dtype)
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


def test_batch_normalisation_without_statistics_of_its_own_cannot_be_frozen():
    layer = nn.BatchNorm1d(4, track_running_stats=False)
    text = refusal(nn.Sequential(nn.Linear(6, 4), layer, nn.Linear(4, 3)).eval())
    assert text.endswith("use GroupNorm or LayerNorm")


class Around(nn.Module):
    """A function of a linear layer's outputs."""

    def __init__(self, function):
        super().__init__()
        self.function, self.out = function, nn.Linear(6, 3)

    def forward(self, x):
        return self.function(self, self.out(x))


class Doubling(nn.Module):
    def forward(self, x):
        return x.mul_(2)


class Fixed(nn.Module):
    """Looks the same two rows up for every sample."""

    def __init__(self, **options):
        super().__init__()
        self.table = nn.Embedding(11, 3, **options)

    def forward(self, x):
        return self.table((x[:, :2] > 9).long()).sum(1)


class Noise(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


class Counting(nn.Module):
    """Counts its calls in a buffer, in evaluations too if asked to."""

    def __init__(self, always):
        super().__init__()
        self.always = always
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        if self.training or self.always:
            self.calls += 1
        return x


class Moving(nn.Module):
    """Subtracts a moving mean, which it sets anew."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return x - self.mean


def after(layer):
    return nn.Sequential(nn.Linear(6, 3), layer)


def typed(first, second):
    return nn.Sequential(nn.Linear(6, 4).to(first), nn.Linear(4, 3).to(second))


def sharing():
    made = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3))
    made[1].weight = nn.Parameter(made[0].weight.data)
    return made


def expanded():
    made = nn.Linear(6, 3)
    made.bias = nn.Parameter(torch.zeros(1).expand(3))
    return made


def watched():
    made = nn.Linear(6, 3)
    made.weight.register_post_accumulate_grad_hook(lambda p: None)
    return made


def masked():
    made = nn.Linear(6, 3)
    made.weight.register_hook(lambda gradient: gradient * (gradient > 0))
    return made


def compiled():
    return torch.compile(nn.Linear(6, 3), backend="eager")


def scripted():
    with warnings.catch_warnings():  # deprecated, but there
        warnings.simplefilter("ignore")
        return torch.jit.trace(nn.Linear(6, 3), torch.zeros(2, 6))


def numpy_noise(_, x):
    return x + float(np.random.default_rng().random())


#: What is handed over, and what the message says of it.
REFUSED = {
    "lazy": (lambda: nn.LazyLinear(3), r"LazyLinear has no size before its first call; call"),
    "lazy inside": (lambda: after(nn.LazyBatchNorm1d()), r"1 \(LazyBatchNorm1d\) has no size"),
    "scripted": (scripted, r"is compiled \(torch.jit\); hand over the module"),
    "scripted inside": (lambda: nn.Sequential(scripted()), r"0 \(TopLevelTracedModule\) is compil"),
    "compiled": (
        compiled,
        r"OptimizedModule is compiled \(torch.compile\); hand over its _orig_mod",
    ),
    "DataParallel": (lambda: nn.DataParallel(nn.Linear(6, 3)), r"hand over its \.module"),
    "no parameters": (nn.Flatten, "Flatten has no parameters; must have some to train"),
    "no module": (lambda: 3, r"gave int; must be a torch\.nn\.Module"),
    "a class with arguments": (nn.Linear, r"Linear can't be called without arguments, or fails"),
    "an error": (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
    "complex": (
        lambda: nn.Linear(6, 3, dtype=torch.complex64),
        "weight is complex64; must be real",
    ),
    "half": (lambda: nn.Linear(6, 3).half(), r"weight is float16; .* module\.float\(\)"),
    "bfloat16 base": (
        lambda: typed(torch.bfloat16, torch.float32), r"0\.weight is bfloat16; must be float32",
    ),
    "float64": (
        lambda: nn.Linear(6, 3).double(),
        r"weight is float64, problem\.dtype is float32; .*problem\.dtype = 'float64'",
    ),
    "two types": (
        lambda: typed(torch.float32, torch.float64),
        r"1\.weight is float64, other parameters are float32",
    ),
    "shared memory": (sharing, r"0\.weight and 1\.weight share their memory"),
    "a hook on a gradient": (masked, "weight has hooks on its gradient"),
    "a hook after a gradient": (watched, "weight has hooks on its gradient"),
    "LSTM alone": (lambda: nn.LSTM(6, 3), "LSTM gives a tuple; must be a tensor"),
    "a pair in training": (
        lambda: Around(lambda m, x: (x, x) if m.training else x),
        "Around gives a tuple in training; must be a tensor",
    ),
    "a dict": (lambda: Around(lambda _, x: {"out": x}), "Around gives a dict; must be a tensor"),
    "wrong width": (
        lambda: nn.Sequential(nn.Linear(5, 3)),
        r"inputs of shape .* in 0 \(Linear\)",
    ),
    "a count": (lambda: after(Counting(False)), r"1 \(Counting\) changes its buffer calls"),
    "a count for ever": (lambda: after(Counting(True)).eval(), r"1 \(Counting\) changes its buf"),
    "a moving mean": (lambda: after(Moving()), r"1 \(Moving\) changes its buffer mean"),
    "running statistics": (
        lambda: nn.Sequential(
            nn.Unflatten(1, (2, 3)), nn.InstanceNorm1d(2, track_running_stats=True), nn.Flatten(),
            nn.Linear(6, 3),
        ),
        r"1 \(InstanceNorm1d\) changes its buffer",
    ),
    "spectral norm": (
        lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(6, 3)),
        r"\(_SpectralNorm\) changes its buffer",
    ),
    "noise": (
        lambda: after(Noise()),
        r"1 \(Noise\) gives other outputs .* draws random numbers",
    ),
    "numpy's noise": (lambda: Around(numpy_noise), "Around gives other outputs .* draws random"),
    "dropout for ever": (
        lambda: Around(lambda _, x: nn.functional.dropout(x, 0.5)),
        r"gives other outputs .*draw in training only: F\.dropout\(x, p, self\.training\)",
    ),
    "classes": (lambda: Around(lambda _, x: x.argmax(1)), "Around gives torch.int64; must be"),
    "detached": (lambda: Around(lambda _, x: x.detach()), "Around's outputs don't depend on what"),
    "inputs in place": (lambda: nn.Sequential(Doubling(), nn.Linear(6, 3)), "changes its inputs"),
    "max_norm": (lambda: Fixed(max_norm=0.1), "changes its parameter table.weight when it is call"),
    "a loss scaled by frequency": (
        lambda: Fixed(scale_grad_by_freq=True),
        "the gradient of a sample depends on the other samples",
    ),
    "another device": (
        lambda: Around(lambda _, x: x.to("meta")),
        "gives outputs on meta; must be on",
    ),
    "meta": (lambda: nn.Linear(6, 3, device="meta"), "weight has no numbers"),
    "expanded": (expanded, r"the numbers of bias share their memory \(expand\)"),
    ".item()": (lambda: Around(lambda _, x: x * x.sum().item()), r"\.item\(\)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_trained_is_refused_in_one_line(kind):
    make, told = REFUSED[kind]
    assert re.search(told, refusal(make)), refusal(make)


@pytest.mark.parametrize("kind", ["lazy", "float64", "LSTM alone", "a count"])
def test_a_module_is_refused_like_the_function_that_makes_it(kind):
    make, told = REFUSED[kind]
    assert re.search(told, refusal(make()))


def test_a_module_that_cannot_be_copied_is_refused_with_the_way_out():
    module = prune.random_unstructured(nn.Linear(6, 3), "weight", 0.5)
    assert "hand over a function that returns it" in refusal(module)
    masked_module = masked()
    assert "hooks on its gradient" in refusal(masked_module)


def test_float64_modules_train_in_float64():
    module = nn.Linear(6, 3).double()
    built = task(module, dtype="float64").objective
    assert torch.equal(built.pack(), nn.utils.parameters_to_vector(module.parameters()))


def test_whole_numbers_and_masks_stay_what_they_are():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.out = nn.Linear(6, 3)
            self.order = nn.Parameter(torch.arange(6).flip(0), requires_grad=False)
            self.register_buffer("kept", torch.tensor([True] * 5 + [False]))

        def forward(self, x):
            return self.out(x[:, self.order] * self.kept)

    built = task(Masked).objective.module
    assert built.order.dtype == torch.int64
    assert built.kept.dtype == torch.bool
    assert task(Masked).objective.layers == (18, 3)


def test_the_gradient_is_compared_with_autograds():
    """A layer whose gradient for many workers is another than for one is refused."""

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return x.clone()

        @staticmethod
        def setup_context(ctx, inputs, output):
            pass

        @staticmethod
        def backward(ctx, gradient):
            return gradient

        @staticmethod
        def vmap(info, dims, x):
            return 2 * x, dims[0]

    text = refusal(lambda: Around(lambda _, x: Wrong.apply(x)))
    assert "another gradient than autograd" in text


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [1e-20, 1e-3, 1e3, 1e8])
def test_the_size_of_a_gradient_does_not_matter(size, dtype):
    def loss(outputs, targets):
        return size * nn.functional.cross_entropy(outputs, targets, reduction="none")

    deep = nn.Sequential(*(nn.Sequential(nn.Linear(6, 6), nn.Tanh()) for _ in range(8)))
    assert task(deep, loss=loss, dtype=dtype).objective.parameters == 8 * 42


def test_a_module_is_what_it_was_after_the_check():
    module = nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.5))
    built = task(module).objective
    assert torch.equal(built.pack(), nn.utils.parameters_to_vector(module.parameters()))
    assert built.module.training
    assert built.module[1].training


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
