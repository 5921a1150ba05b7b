"""Data sets: what every one promises, and the contents of each."""

import numpy as np
import pytest
from builders import examples, label
from data_files import WRITERS
from sklearn.datasets import load_digits

from desim.tensors.datasets import digits
from desim.tensors.datasets.base import Data, Dataset
from desim.tensors.datasets.digits import Digits, _read
from desim.tensors.datasets.quadratic import Quadratic


@pytest.fixture(params=examples("datasets"), ids=label)
def dataset(request, tmp_path, monkeypatch):
    """Every data set with each of its examples, and with small files where it needs some."""
    given = request.param
    files = WRITERS.get(given.kind, lambda *_: {})(tmp_path, monkeypatch)
    return Dataset.parse({**given.table(), **files})


def test_the_shape_is_known_without_loading_and_is_right(dataset):
    shape, data = dataset.shape(), dataset.load()
    assert data.train_x.shape[1:] == data.test_x.shape[1:] == shape.inputs
    assert len(data.train_x) == len(data.train_y) > 0
    assert len(data.test_x) == len(data.test_y)
    assert np.isfinite(data.train_x).all()
    if np.issubdtype(data.train_y.dtype, np.integer):
        for labels in (data.train_y, data.test_y):
            assert 0 <= labels.min() <= labels.max() < shape.outputs
    else:
        assert np.prod(data.train_y.shape[1:], dtype=int) == shape.outputs


def test_loading_twice_gives_the_same(dataset):
    one, other = dataset.load(), dataset.load()
    for key in ("train_x", "train_y", "test_x", "test_y"):
        np.testing.assert_array_equal(getattr(one, key), getattr(other, key))


def test_digits_are_1797_images_of_64_pixels_in_0_1():
    data = Digits().load()
    # Every fifth of 1,797 is for testing: 360.
    assert data.train_x.shape == (1437, 64)
    assert data.test_x.shape == (360, 64)
    assert data.train_x.min() == 0
    assert data.train_x.max() == 1
    assert set(data.train_y) == set(data.test_y) == set(range(10))


@pytest.mark.parametrize(("fraction", "tests"), [(0.5, 899), (0.25, 450), (0.1, 180)])
def test_the_test_fraction_is_every_so_manyth_image(fraction, tests):
    assert len(Digits(test_fraction=fraction).load().test_y) == tests


def test_chosen_classes_are_renumbered_in_the_order_given():
    # scikit-learn's digits hold 183 threes and 174 eights.
    three_eight, eight_three = (Digits(classes=pair).load() for pair in ((3, 8), (8, 3)))
    labels = np.concatenate([three_eight.train_y, three_eight.test_y])
    assert np.bincount(labels).tolist() == [183, 174]
    np.testing.assert_array_equal(eight_three.train_y, 1 - three_eight.train_y)
    np.testing.assert_array_equal(eight_three.train_x, three_eight.train_x)
    assert Digits(classes=(3, 8)).shape().outputs == 2


def test_images_are_the_ones_with_those_labels():
    all_of_them, pair = Digits(test_fraction=0.5), Digits(classes=(3, 8), test_fraction=0.5)
    whole, chosen = all_of_them.load(), pair.load()
    known = {
        image.tobytes(): digit
        for x, y in ((whole.train_x, whole.train_y), (whole.test_x, whole.test_y))
        for image, digit in zip(x, y.tolist(), strict=True)
    }
    for image, number in zip(chosen.train_x, chosen.train_y.tolist(), strict=True):
        assert known[image.tobytes()] == (3, 8)[number]


def test_quadratic_points_scatter_around_one():
    data = Quadratic(samples=4000, dimension=5, spread=0.5).load()
    assert data.train_x.shape == (4000, 5)
    assert (data.train_y == 0).all()
    # Standard errors of the mean and of the deviation: .5 / sqrt(4000), and that / sqrt(2).
    np.testing.assert_allclose(data.train_x.mean(0), 1, atol=5 * 0.5 / 4000**0.5)
    np.testing.assert_allclose(data.train_x.std(0), 0.5, atol=5 * 0.36 / 4000**0.5)


@pytest.mark.parametrize(
    ("y", "outputs"),
    [
        (np.array([0, 2, 1, 0]), 3),
        (np.zeros((4, 2)), 2),
        (np.zeros(4), 1),
        (np.zeros((4, 2, 3)), 6),
    ],
)
def test_arrays_of_ones_own_are_a_data_set(y, outputs):
    x = np.ones((4, 3, 2))
    dataset = Dataset.parse(Data(x, y, x[:1], y[:1]))
    assert dataset.shape().inputs == (3, 2)
    assert dataset.shape().outputs == outputs


def test_digits_are_scikit_learns(monkeypatch):
    """Read from its file, or, where that is somewhere else, by itself."""
    images, labels = load_digits(return_X_y=True)
    for found in (_read(), (monkeypatch.setattr(digits, "find_spec", lambda _: None), _read())[1]):
        np.testing.assert_array_equal(found[0], images)
        np.testing.assert_array_equal(found[1], labels)
