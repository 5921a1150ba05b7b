"""Models: sizes, starting points, and what they refuse."""

import numpy as np
import pytest
import torch
from builders import examples, fitting, label, problem
from torch import nn

from desim.errors import ModelError, ScenarioError
from desim.streams import Streams
from desim.tensors.datasets.base import Data, Shape
from desim.tensors.models.base import Model
from desim.tensors.models.mlp import MLP
from desim.tensors.problem import Problem


def digits(model, **changes):
    return Problem(dataset="digits", model=model, **changes)


def parameters(model, **changes):
    return digits(model, **changes).parameters(Streams(0))


@pytest.mark.parametrize("model", examples("models"), ids=label)
def test_a_model_takes_a_batch_of_inputs(model):
    module, shape = fitting(model)
    assert len(module(torch.ones(5, *shape.inputs))) == 5
    assert all(p.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("model", examples("models"), ids=label)
def test_a_models_gradient_can_be_taken_for_many_workers_at_once(model):
    """Problem.task tries it; a layer that mixes the samples of a batch would be refused."""
    x = np.random.default_rng(0).random((8, 1, 8, 8), np.float32)
    y = np.array([0, 1] * 4)
    if model.kind == "quadratic":
        x, y = x[:, 0, 0], np.zeros((8, 8), np.float32)
    given = Problem(dataset=Data(x, y, x[:0], y[:0]), model=model)
    assert given.task(2, Streams(0), torch.device("cpu")).objective.parameters > 0


def test_sizes_of_image_models():
    """By hand: 3 x 3 kernels and biases, then what is left after two poolings."""
    conv = Model.parse({"kind": "convolutional", "channels": [8, 16], "hidden": 32})
    assert parameters_of(conv.build(Shape((1, 28, 28), 10))) == (
        (9 * 8 + 8) + (9 * 8 * 16 + 16) + (16 * 49 * 32 + 32) + (32 * 10 + 10)
    )
    # ResNet-20 of He et al. has 0.27 million parameters (their table 6).
    resnet = Model.parse({"kind": "resnet", "blocks": 3})
    assert parameters_of(resnet.build(Shape((3, 32, 32), 10))) == pytest.approx(0.27e6, rel=0.02)


def parameters_of(module):
    return sum(p.numel() for p in module.parameters())


def test_image_models_refuse_what_is_too_small_or_no_image():
    with pytest.raises(ScenarioError, match=r"at least 4 x 4 pixels.*are 1 x 3 x 8; .*flatten"):
        Model.parse("convolutional").build(Shape((1, 3, 8), 10))
    with pytest.raises(ScenarioError, match="the data set's inputs are 784"):
        Model.parse("resnet").build(Shape((784,), 10))


def test_the_initial_range_of_a_perceptron():
    torch.manual_seed(0)
    table = {"kind": "mlp", "hidden": [40, 30]}
    one = Model.parse({**table, "init_range": 0.5}).build(Shape((50,), 10))
    each = Model.parse({**table, "init_range": [0.1, 1, 2.0]}).build(Shape((50,), 10))
    for module, bounds in ((one, (0.5, 0.5, 0.5)), (each, (0.1, 1.0, 2.0))):
        for layer, bound in zip(module[::2], bounds, strict=True):
            for parameter in (layer.weight, layer.bias):
                # The largest of k uniform numbers: less than 0.7 of the bound in 10 only at 3 %.
                assert 0.7 * bound < parameter.abs().max() <= bound
            assert abs(float(layer.weight.detach().mean())) < 0.2 * bound
    with pytest.raises(ValueError, match="one number for each of the 3 layers"):
        Model.parse({**table, "init_range": [0.1, 1.0]})


def test_the_papers_network_has_39760_parameters():
    module = Model.parse({"kind": "mlp", "hidden": [50]}).build(Shape((28, 28), 10))
    assert sum(p.numel() for p in module.parameters()) == 39_760
    deep = Model.parse({"kind": "mlp", "hidden": [30, 20, 20, 25]}).build(Shape((1024,), 10))
    assert sum(p.numel() for p in deep.parameters()) == 32_575


def test_sizes_on_digits():
    assert parameters("softmax") == 64 * 10 + 10
    assert parameters({"kind": "mlp", "hidden": [7]}) == 64 * 7 + 7 + 7 * 10 + 10
    pair = {"kind": "digits", "classes": [3, 8]}
    assert Problem(dataset=pair, model="logistic").parameters(Streams(0)) == 65


def test_a_seed_gives_one_initial_model_and_leaves_torchs_generator_alone():
    given = digits({"kind": "mlp", "hidden": [5]})
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    first, same, other = (
        nn.utils.parameters_to_vector(given.module(Streams(s)).parameters()) for s in (1, 1, 2)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("kind", ["softmax", "logistic"])
def test_convex_models_start_at_zero(kind):
    module = Model.parse(kind).build(Shape((8, 8), 2))
    assert all((p == 0).all() for p in module.parameters())
    assert module(torch.ones(3, 8, 8)).shape == ((3,) if kind == "logistic" else (3, 2))


@pytest.mark.parametrize(
    ("activation", "layer"), [("sigmoid", nn.Sigmoid), ("tanh", nn.Tanh), ("relu", nn.ReLU)]
)
def test_a_perceptron_has_its_activation_after_each_layer_but_the_last(activation, layer):
    table = {"kind": "mlp", "hidden": [5, 4], "activation": activation}
    module = Model.parse(table).build(Shape((3,), 2))
    assert [type(m) for m in module] == [nn.Linear, layer, nn.Linear, layer, nn.Linear]


def test_logistic_regression_needs_two_classes():
    with pytest.raises(ScenarioError) as error:
        digits("logistic").module(Streams(0))
    assert "problem.model = 'logistic': needs two classes, the data set has 10" in str(error.value)
    assert "use softmax" in str(error.value)


def test_a_given_module_is_copied_and_a_function_is_called_anew():
    module = nn.Linear(4, 4)
    built = problem(model=module).module(Streams(0))
    assert built is not module
    torch.testing.assert_close(built.weight, module.weight)
    built.weight.data.zero_()
    assert (module.weight != 0).any()
    made = problem(model=lambda: nn.Linear(4, 4))
    one, other = (made.module(Streams(seed)) for seed in (1, 2))
    assert not torch.equal(one.weight, other.weight)


@pytest.mark.parametrize(
    ("dtype", "expected"), [("float32", torch.float32), ("float64", torch.float64)]
)
def test_models_have_the_type_asked_for(dtype, expected):
    module = digits("softmax", dtype=dtype).module(Streams(0))
    assert {p.dtype for p in module.parameters()} == {expected}


@pytest.mark.parametrize("shape", [Shape((5,), 2), Shape((2, 3), 2), Shape((3, 9, 8), 2)], ids=str)
@pytest.mark.parametrize("model", examples("models"), ids=label)
def test_sizes_that_a_model_states_are_those_of_its_module(model, shape):
    try:
        module = model.build(shape)
    except ScenarioError:
        return  # the models of images
    known = model.parameter_sizes(shape)
    assert known in (None, tuple(p.numel() for p in module.parameters()))


def test_a_class_that_builds_something_else_is_asked_for_a_module():
    class Wider(MLP):
        def build(self, shape):
            return nn.Linear(shape.inputs[0], 7)

    class Same(MLP):
        """Inherits how it is built, and so its sizes."""

    given = {"dataset": "digits", "samples_per_worker": 20}
    assert Problem(model=Wider(hidden=(3,)), **given).layers(Streams(0)) == (64 * 7, 7)
    assert Problem(model=Same(hidden=(3,)), **given).layers(Streams(0)) == (192, 3, 30, 10)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"loss": lambda outputs, targets: outputs.nonsense}, "nonsense"),
        ({"model": lambda: nn.Linear(3, 10)}, "3"),
    ],
    ids=["loss", "model"],
)
def test_what_cannot_be_known_without_building_is_built_by_a_check(changes, told):
    given = {"dataset": "digits", "samples_per_worker": 20, "model": {"kind": "mlp", "hidden": [3]}}
    fits = Problem(**given)
    assert [len(shard) for shard in fits.shards(4, Streams(0))] == [20] * 4
    assert all(
        (one == other).all()
        for one, other in zip(
            fits.shards(4, Streams(0)),
            fits.assign(fits.dataset.load(), 4, Streams(0)),
            strict=True,
        )
    )
    with pytest.raises((ModelError, ScenarioError), match=told):
        Problem(**(given | changes)).shards(4, Streams(0))
