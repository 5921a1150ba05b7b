"""Data, model and loss are held against each other, and the part at fault is named."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from desim.errors import DesimError, ModelError, ScenarioError
from desim.streams import Streams
from desim.tensors.agreement import taken_inputs
from desim.tensors.datasets.base import Data
from desim.tensors.evaluation import tested as on_the_test_part
from desim.tensors.evaluation import training_loss
from desim.tensors.losses.base import Loss
from desim.tensors.objective import Objective
from desim.tensors.problem import Problem

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(30, 6)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)
IMAGES = RANDOM.integers(0, 256, (30, 3, 4, 5), dtype=np.uint8)
TOKENS = RANDOM.integers(0, 20, (30, 7))
TOKENS[2, 2] = 19
#: Not among the samples that are tried first.
LATE = 17


def data(x, y):
    return Data(x[:20], y[:20], x[20:], y[20:])


def task(x, y, model, loss=None, **options):
    problem = Problem(dataset=data(x, y), model=model, loss=loss, **options)
    return problem.task(4, Streams(0), torch.device("cpu"))


def refusal(*arguments, **options):
    with pytest.raises(DesimError) as error:
        task(*arguments, **options)
    text = str(error.value)
    assert "\n" not in text
    assert "GroupNorm" not in text
    return text


def linear(outputs):
    return lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, outputs))


def changed(array, value, row=LATE):
    array = array.copy()
    array[row] = value
    return array


class Tokens(nn.Module):
    def __init__(self, words):
        super().__init__()
        self.embedding, self.linear = nn.Embedding(words, 4), nn.Linear(28, 2)

    def forward(self, x):
        return self.linear(self.embedding(x).flatten(1))


PLAIN = task(X, Y, nn.Linear(6, 2))


@pytest.mark.parametrize("kind", ["int32", "int16", "uint8", "uint16", "uint64", ">i4", "bool"])
def test_labels_of_any_whole_type_give_the_same_loss(kind):
    other = task(X, Y.astype(kind), nn.Linear(6, 2))
    assert other.train_y.dtype == torch.int64
    row = torch.linspace(-1, 1, 14)
    assert training_loss(other, row) == pytest.approx(training_loss(PLAIN, row))
    assert on_the_test_part(other, row) == pytest.approx(on_the_test_part(PLAIN, row))


@pytest.mark.parametrize("kind", ["float16", "float64", "longdouble", ">f4"])
def test_inputs_of_any_float_type_become_the_problems(kind):
    assert task(X.astype(kind), Y, nn.Linear(6, 2)).train_x.dtype == torch.float32


@pytest.mark.parametrize("kind", ["uint8", "int16", "int64", "uint32"])
def test_whole_number_inputs_are_floats_where_the_model_takes_no_others(kind):
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(12, 2))
    given = task(IMAGES.astype(kind), Y, model)
    floats = task(IMAGES.astype(np.float32), Y, model)
    torch.testing.assert_close(given.train_x, floats.train_x)


@pytest.mark.parametrize("kind", ["uint8", "int16", "int32", "int64"])
def test_token_ids_stay_whole_numbers(kind):
    x = task(TOKENS.astype(kind), Y, lambda: Tokens(20)).train_x
    assert not x.is_floating_point()
    assert Tokens(20)(x).shape == (20, 2)


@pytest.mark.parametrize("row", [LATE, 25], ids=["train", "test"])
def test_a_token_that_the_model_lacks(row):
    text = refusal(changed(TOKENS, 33, row), Y, lambda: Tokens(20))
    assert text.startswith("problem.model: Tokens fails on an input that holds 33: IndexError")


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int8])
def test_whole_numbers_to_predict(kind):
    y = RANDOM.integers(0, 9, (30, 2)).astype(kind)
    losses = ["half-squared", lambda o, t: functional.mse_loss(o, t, reduction="none").sum(1)]
    row = torch.linspace(-1, 1, 14)
    for loss in losses:
        built, floats = (task(X, targets, nn.Linear(6, 2), loss) for targets in (y, y * 1.0))
        assert training_loss(built, row) == pytest.approx(training_loss(floats, row))
        assert built.label_counts() is None
    assert task(X, y, {"kind": "mlp", "hidden": [3]}, "half-squared").objective.layers[-1] == 2


def test_labels_of_minus_one_and_one_with_a_loss_of_ones_own():
    hinge = task(X, 2 * Y - 1, nn.Linear(6, 1), lambda o, y: functional.relu(1 - y * o[:, 0]))
    assert hinge.label_counts() is None
    assert np.isnan(on_the_test_part(hinge, torch.zeros(7))[1])


BROADCAST = "must be the same"
CASES = {
    "targets wider": (X, X[:, :3], linear(1), "half-squared", ["train_y", "(samples, 3)"]),
    "targets a row": (X, X[:, 0], linear(1), "half-squared", [BROADCAST, "give y[:, None]"]),
    "outputs a row": (
        X,
        X[:, :1],
        nn.Sequential(nn.Linear(6, 1), nn.Flatten(0)),
        "half-squared",
        [BROADCAST, "give y[:, 0]"],
    ),
    "logistic, a column": (X, Y, linear(1), "logistic", [BROADCAST, "give y[:, None]"]),
    "logistic, two outputs": (X, Y, linear(2), "logistic", ["take the loss cross-entropy"]),
    "-1 and 1": (X, 2 * Y - 1, "logistic", None, ["= -1: must be from 0 to 1", "(y + 1) // 2"]),
    "-1.0 and 1.0": (X, 2.0 * Y - 1, linear(1), "logistic", [BROADCAST]),
    "-1.0 and 1.0, column": (
        X,
        2.0 * Y[:, None] - 1,
        linear(1),
        "logistic",
        ["= -1: must be from 0 to 1", "(y + 1) / 2"],
    ),
    "late label": (X, changed(Y, 7), linear(2), None, ["train_y[17] = 7", "the model has 2 out"]),
    "late test label": (X, changed(Y, 7, 28), linear(2), None, ["test_y[8] = 7", "0 to 1"]),
    "negative label": (X, changed(Y, -100), linear(2), None, ["train_y[17] = -100"]),
    "late, bce": (X, changed(Y, 2), linear(2), "binary-cross-entropy", ["train_y[17] = 2"]),
    "one bce output": (X, Y, linear(1), "binary-cross-entropy", ["give y[:, None]"]),
    "label beyond": (
        X,
        changed(np.zeros((30, 4)), 2),
        linear(4),
        "binary-cross-entropy",
        ["train_y[17, 0] = 2: must be from 0 to 1"],
    ),
    "float labels": (X, Y * 1.0, linear(2), None, ["has floats of shape (samples,)", "classes"]),
    "column labels": (X, Y[:, None], linear(2), None, ["(samples, 1)", "must be classes"]),
    "no probabilities": (
        X,
        changed(np.eye(2)[Y], 1),
        linear(2),
        None,
        ["train_y[17]", "sum to 1", "binary-cross-entropy"],
    ),
    "one class": (X, Y, linear(1), None, ["two or more classes"]),
    "pixels": (
        IMAGES / 255,
        RANDOM.integers(0, 4, (30, 4, 4)),
        nn.Conv2d(3, 4, 3, padding=1),
        None,
        ["(samples, 4, 4)", "of shape (samples, 4, 5)"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_targets_that_do_not_go_with_the_outputs(case):
    *given, words = CASES[case]
    text = refusal(*given)
    assert text.startswith("problem.dataset: t")
    assert [word for word in words if word not in text] == []


def hidden_broadcast(outputs, targets):
    return (outputs - targets).square().mean(-1)


LOSSES = {
    "scalar": (Y, nn.CrossEntropyLoss(), ["CrossEntropyLoss", "shape ()", "reduction='none'"]),
    "per output": (X[:, :2], nn.MSELoss(reduction="none"), ["(2, 2)", ".flatten(1).mean(1)"]),
    "broadcast": (X[:, 0], nn.MSELoss(reduction="none"), ["one number per sample", "broadcast"]),
    "mean of a broadcast": (X[:, 0], hidden_broadcast, ["hidden_broadcast", "broadcast"]),
    "mean of the batch": (
        Y,
        lambda o, y: functional.cross_entropy(o, y).expand(len(y)),
        ["mean over the batch"],
    ),
    "no tensor": (Y, lambda o, y: 1.0, ["gives a float", "must be a tensor"]),
    "whole": (Y, lambda o, y: (o.argmax(1) == y).long(), ["torch.int64", "must be floats"]),
    "detached": (Y, lambda o, y: o[:, 0].detach(), ["does not require grad"]),
    "raises": (Y, lambda o, y: o.nothing, ["AttributeError", "test_agreement.py:"]),
    "late label": (
        changed(Y, 7),
        nn.CrossEntropyLoss(reduction="none"),
        ["train_y[17] = 7", "CrossEntropyLoss fails on it", "IndexError"],
    ),
}


@pytest.mark.parametrize("case", LOSSES)
def test_a_loss_of_ones_own_gives_one_number_per_sample(case):
    y, loss, words = LOSSES[case]
    outputs = 1 if "broadcast" in case else 2
    text = refusal(X, y, linear(outputs), loss)
    assert text.startswith("problem.dataset: " if case == "late label" else "problem.loss: ")
    assert [word for word in words if word not in text] == []


def module(function, outputs=2):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(6, outputs)

        def forward(self, x):
            return function(self.linear(x))

    return Own()


MODELS = {
    "tuple": (module(lambda z: (z, z)), "Own gives a tuple; must be a tensor"),
    "dict": (module(lambda z: {"logits": z}), "Own gives a dict; must be a tensor"),
    "lstm": (nn.LSTM(6, 2), "LSTM gives a tuple"),
    "mean": (module(lambda z: z.mean(0)), "Own gives outputs of shape (2,) for 3 samples"),
    "squeeze": (module(torch.squeeze, 1), "Own gives outputs of shape () for 1 sample"),
    "classes": (module(lambda z: z.argmax(1)), "Own gives torch.int64; must be floats"),
    "width": (nn.Sequential(nn.Linear(7, 2)), "shape (3, 6), float32, in 0 (Linear): RuntimeError"),
    "raises": (module(lambda z: z.nothing), "AttributeError"),
}


@pytest.mark.parametrize("case", MODELS)
def test_outputs_that_are_not_one_row_per_sample(case):
    model, words = MODELS[case]
    with pytest.raises(ModelError, match=re.escape(words)) as error:
        task(X, Y, model)
    assert str(error.value).startswith("problem.model: ")


@pytest.mark.parametrize("given", [lambda: 3, lambda: None, lambda: [nn.Linear(6, 2)]])
def test_a_function_that_gives_no_module(given):
    assert "must be a torch.nn.Module" in refusal(X, Y, given)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda p, b: b.expand(3), "gives shape (3,)"),
        (lambda p, b: 1.0, "gives a float"),
        (lambda p, b: p["nothing"], "fails: KeyError: 'nothing'"),
    ],
)
def test_a_regulariser_is_one_number(function, words):
    text = refusal(X, Y, linear(2), regulariser=function)
    assert text.startswith("problem.regulariser: <lambda> ")
    assert words in text


def test_a_closed_form_of_ones_own_is_held_against_the_derivative():
    class Squares(Loss):
        def __call__(self, outputs, targets):
            return (outputs - targets).square().sum(1)

        def gradient(self, outputs, targets, weights):
            return weights[:, None] * (outputs - targets)

    with pytest.raises(ScenarioError, match="Squares: `gradient` isn't the derivative"):
        task(X, X[:, :2], linear(2), Squares())


def test_the_module_is_left_as_it_was():
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(6, 2)
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x):
            with torch.no_grad():
                self.calls += 1
            return self.linear(x)

    objective = Objective(Counts(), Loss.parse("cross-entropy"), 0.0, None)
    drawn = torch.random.get_rng_state()
    taken_inputs(objective, [torch.from_numpy(X)])
    assert objective.module.calls == 0
    assert torch.equal(torch.random.get_rng_state(), drawn)
