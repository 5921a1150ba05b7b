"""Arrays, tensors and torch datasets are taken as data, or refused in one line."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

import desim
from desim.errors import ScenarioError

X = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
Y = np.arange(12) % 2


class Samples(Dataset):
    """A dataset of one's own, as torch's tutorials have it."""

    def __init__(self, change=lambda place, sample: sample, samples=12):
        self.change, self.samples = change, samples

    def __len__(self):
        return self.samples

    def __getitem__(self, place):
        return self.change(place, (torch.tensor(X[place], requires_grad=True), int(Y[place])))


def loaded(dataset):
    return desim.Problem(dataset=dataset, model=nn.Linear(3, 2)).load()


TENSORS = TensorDataset(torch.tensor(X), torch.tensor(Y))


@pytest.mark.parametrize(
    "dataset",
    [
        (X, Y),
        (X.tolist(), Y.tolist()),
        (torch.tensor(X, requires_grad=True), torch.tensor(Y)),
        TENSORS,
        Samples(),
        Subset(TENSORS, range(12)),
        desim.Data(X, Y, X[:0], Y[:0]),
    ],
    ids=["arrays", "lists", "tensors", "TensorDataset", "own", "Subset", "Data"],
)
def test_one_part_is_the_training_part(dataset):
    data = loaded(dataset)
    np.testing.assert_allclose(data.train_x, X)
    np.testing.assert_array_equal(data.train_y, Y)
    assert data.train_y.dtype == np.int64
    assert len(data.test_x) == len(data.test_y) == 0


@pytest.mark.parametrize(
    "dataset",
    [
        ((X[:8], Y[:8]), (torch.tensor(X[8:]), torch.tensor(Y[8:]))),
        (Subset(TENSORS, range(8)), Subset(Samples(), range(8, 12))),
        [Subset(TENSORS, range(8)), (X[8:], Y[8:])],
    ],
    ids=["pairs", "datasets", "a list of both"],
)
def test_two_parts_are_training_and_test(dataset):
    data = loaded(dataset)
    np.testing.assert_allclose(data.train_x, X[:8])
    np.testing.assert_allclose(data.test_x, X[8:])
    np.testing.assert_array_equal(data.test_y, Y[8:])


def test_bfloat16_tensors_become_floats():
    given = torch.tensor(X).bfloat16()
    np.testing.assert_array_equal(loaded((given, Y)).train_x, given.float().numpy())


def test_arrays_are_not_copied():
    data = loaded(desim.Data(X, Y, torch.tensor(X), torch.tensor(Y)))
    assert np.shares_memory(data.train_x, X)
    tensor = torch.tensor(X)
    assert np.shares_memory(loaded((tensor, Y)).train_x, tensor.numpy())


def test_a_dataset_is_read_once():
    read = []
    dataset = Samples(lambda place, sample: read.append(place) or sample)
    problem = desim.Problem(dataset=dataset, model=nn.Linear(3, 2))
    for _ in range(3):
        problem.load()
    assert read == list(range(12))


class Endless(IterableDataset):
    def __iter__(self):
        return iter([])


def broken(place, sample):
    if place == 7:
        raise OSError("no such file")
    return sample


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (X, "desim.Data(train_x, train_y, test_x, test_y)"),
        (3, "must be a table such as {kind = 'digits'}; in code, desim.Data("),
        ((X, X, Y, Y), "((x, y), (test_x, test_y))"),
        (DataLoader(TENSORS), "hand over its .dataset"),
        (Endless(), "Endless has no length"),
        (Samples(broken), "sample 7 of Samples can't be taken (OSError: no such file, "),
        (Samples(samples=0), "Samples has no samples"),
        (
            Samples(lambda p, s: {"x": 1}),
            "sample 0 of Samples can't be taken (TypeError: is a dict",
        ),
        (Samples(lambda p, s: (s[0][: 3 - p % 2], s[1])), "sample 1 of Samples can't be taken"),
        (Samples(lambda p, s: ("a.png", s[1])), "must be arrays or tensors"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_data(dataset, words):
    with pytest.raises(Exception, match=re.escape(words)):  # pydantic puts the key in front
        loaded(dataset)


def changed(place, value):
    array = X.astype(np.float64)
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((X, Y[:11], X, Y), "train_x has 12 samples and train_y 11; must be as many"),
        ((X, Y, X[:4], Y[:3]), "test_x has 4 samples and test_y 3; must be as many"),
        ((X, Y, X[:, :2], Y), "train_x has samples of shape (3,) and test_x of (2,)"),
        ((X, Y, X, Y * 1.0), "train_y is of int64 and test_y of float64"),
        ((X > 0, Y, X, Y), "train_x is of bool and test_x of float32"),
        ((changed((5, 1), np.nan), Y, X, Y), "train_x[5, 1] = nan: must be finite"),
        ((X, Y, changed((11, 2), -np.inf), Y), "test_x[11, 2] = -inf: must be finite"),
        ((X, np.where(Y, np.inf, 0), X[:0], Y[:0]), "train_y[1] = inf: must be finite"),
        ((changed((3, 0), 1e300), Y, X, Y), "train_x[3, 0] = 1e+300: is beyond the largest"),
        ((X.astype(object), Y, X, Y), "train_x is an array of object"),
        ((X, np.array(["a"] * 12), X, Y), "train_y is an array of <U1"),
        ((X + 1j, Y, X, Y), "train_x is an array of complex64"),
        (([[1], [1, 2]], Y, X, Y), "train_x is [[1], [1, 2]]; must be an array of real numbers"),
        ((None, Y, X, Y), "train_x is None; must be an array of real numbers"),
        ((X, 3, X, Y), "train_y is 3; must be an array of real numbers"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_data(parts, words):
    with pytest.raises(ScenarioError, match=re.escape(f"problem.dataset: {words}")):
        loaded(desim.Data(*parts))


@settings(max_examples=50, deadline=None)
@given(
    row=st.integers(0, 2999),
    column=st.integers(0, 2),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
    kind=st.sampled_from([np.float16, np.float32, np.float64]),
)
def test_any_number_that_is_not_finite_is_found(row, column, value, kind):
    x = np.full((3000, 3), 60_000, kind)  # whose sum overflows in 16 bits
    assert loaded((x, np.zeros(3000))).train_x is not None
    x[row, column] = value
    with pytest.raises(ScenarioError, match=re.escape(f"train_x[{row}, {column}] = {value}")):
        loaded((x, np.zeros(3000)))


def test_numbers_beyond_float32_go_with_float64():
    problem = desim.Problem(
        dataset=(changed((3, 0), 1e300), Y), model=nn.Linear(3, 2), dtype="float64"
    )
    assert problem.load().train_x.max() == 1e300


class Says(desim.Dataset):
    def shape(self):
        return desim.Shape((4,), 2)

    def load(self):
        return desim.Data(X, Y, X[:0], Y[:0])


class Forgets(Says):
    def load(self):
        return X, Y


class Shapeless(Says):
    def shape(self):
        return (3,), 2


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (Says(), "Says.shape says inputs of (4,), and load gives (3,); must be the same"),
        (Forgets(), "Forgets.load gives (array"),
        (Shapeless(), "Shapeless.shape gives ((3,), 2); must be Shape"),
    ],
)
def test_a_data_set_of_ones_own_gives_what_it_says(dataset, words):
    with pytest.raises(ScenarioError, match=re.escape(f"problem.dataset: {words}")):
        loaded(dataset)


def test_classes_are_counted_over_both_parts_and_names():
    def outputs(*arguments):
        return (
            desim.Problem(dataset=desim.Data(*arguments), model="softmax").dataset.shape().outputs
        )

    assert outputs(X, Y, X[:2], np.array([0, 4])) == 5
    assert outputs(X, Y, X[:0], Y[:0], tuple("abcdef")) == 6
    assert outputs(X, np.ones((12, 7), bool), X[:0], np.ones((0, 7), bool)) == 7
    assert outputs(X, Y * 1.0, X[:0], Y[:0] * 1.0) == 1


def test_a_message_holds_no_address():
    with pytest.raises(Exception, match=r"^dataset = <[\w.]+Samples object>: ") as raised:
        loaded(Samples(broken))
    assert f"{__file__}:" in str(raised.value)
