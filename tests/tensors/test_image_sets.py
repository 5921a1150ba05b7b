"""Sets of images: the bytes in the files become the right numbers, in every format."""

import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import (
    WRITERS,
    batch,
    batches,
    fake_openml,
    idx,
    pixels,
    put,
    python2_pickle,
    write_archive,
    write_cifar10,
    write_idx,
    write_images,
    write_npz,
)
from PIL import Image
from shared_data import shared

from desim.errors import ScenarioError
from desim.schema.registry import members
from desim.streams import Streams
from desim.tensors.datasets._images import ImageSet
from desim.tensors.datasets.base import Dataset, Shape
from desim.tensors.datasets.cifar10 import CIFAR10
from desim.tensors.datasets.fashion_mnist import FashionMNIST
from desim.tensors.datasets.image_folder import ImageFolder
from desim.tensors.datasets.mnist import MNIST
from desim.tensors.datasets.npz import NPZ
from desim.tensors.datasets.openml import OpenML
from desim.tensors.problem import Problem


def npz(tmp_path: Path, **changes):
    """An NPZ with other arrays or options."""
    arrays = {key: changes.pop(key) for key in list(changes) if key[:2] in ("x_", "y_")}
    return NPZ.model_validate(write_npz(tmp_path, **arrays) | changes)


# What is common to all


@pytest.mark.parametrize("kind", [k for k, c in members("datasets").items() if k in WRITERS])
def test_the_shape_needs_no_image(kind, tmp_path, monkeypatch):
    if kind == "openml":
        return  # only the set itself tells
    cls = members("datasets")[kind]
    dataset = cls.model_validate(cls.examples[0] | WRITERS[kind](tmp_path, monkeypatch))
    monkeypatch.setattr(cls, "read", lambda _: pytest.fail("the images were read"))
    assert isinstance(dataset, ImageSet)
    assert dataset.shape().outputs > 1


def test_pixels_become_float32_from_0_to_1_and_labels_int64(tmp_path):
    x = np.array([[[0, 51], [102, 255]]] * 2, np.uint8)
    data = npz(tmp_path, x_train=x, y_train=np.array([1, 0]), x_test=None, y_test=None).load()
    assert (data.train_x.dtype, data.train_y.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(data.train_x[0], np.float32([0, 0.2, 0.4, 1]))
    assert data.train_y.tolist() == [1, 0]
    assert data.test_x.shape == (0, 4)
    assert data.test_y.shape == (0,)


def test_floats_are_taken_as_they_are(tmp_path):
    x = np.linspace(0, 1, 20 * 16).reshape(20, 4, 4)
    data = npz(tmp_path, x_train=x, x_test=None, y_test=None).load()
    np.testing.assert_array_equal(data.train_x, x.reshape(20, 16).astype(np.float32))


def test_images_keep_their_form_where_they_are_not_flattened(tmp_path):
    flat, formed = npz(tmp_path), npz(tmp_path, flatten=False)
    assert formed.shape().inputs == (3, 4, 4)
    np.testing.assert_array_equal(formed.load().train_x.reshape(20, 48), flat.load().train_x)


def test_grey_is_the_luma_of_red_green_and_blue(tmp_path):
    x = np.zeros((4, 3, 1, 1), np.uint8)
    x[[0, 1, 2], [0, 1, 2]] = 255
    x[3] = 100
    given = npz(tmp_path, x_train=x, y_train=[0, 1, 0, 1], greyscale=True, x_test=None, y_test=None)
    assert given.shape().inputs == (1,)
    expected = [0.299, 0.587, 0.114, 100 / 255]
    np.testing.assert_allclose(given.load().train_x[:, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(("size", "into"), [((4, 6), (2, 3)), ((5, 7), (3, 4)), ((2, 3), (4, 6))])
def test_a_resized_pixel_is_the_mean_over_its_area(size, into, tmp_path):
    x = pixels(3, 1, *size)
    given = npz(tmp_path, x_train=x, y_train=[0, 1, 0], x_test=None, y_test=None, resize=into)
    found = given.load().train_x.reshape(3, *into)
    # The same by hand: every pixel repeated so often that each new one covers whole ones.
    fine = x[:, 0].repeat(into[0], 1).repeat(into[1], 2) / 255
    blocks = fine.reshape(3, into[0], size[0], into[1], size[1])
    np.testing.assert_allclose(found, blocks.mean((2, 4)), atol=1e-6)
    if size == (4, 6):
        torchs = torch.nn.functional.interpolate(torch.tensor(x / 255), size=into, mode="area")
        np.testing.assert_allclose(found, torchs[:, 0], atol=1e-6)


def test_standardised_channels_have_mean_0_and_deviation_1_in_the_training_part(tmp_path):
    x = pixels(2000, 3, 4, 4)
    x[:, 1] //= 4
    x[:, 2] = 9  # the same everywhere
    arrays = {"x_train": x, "y_train": np.arange(2000) % 3, "x_test": x[:8]}
    raw = npz(tmp_path, **arrays, flatten=False).load()
    data = npz(tmp_path, **arrays, flatten=False, standardise=True).load()
    np.testing.assert_allclose(data.train_x.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(data.train_x.std((0, 2, 3)), [1, 1, 0], atol=1e-5)
    mean, std = raw.train_x[:, :2].mean((0, 2, 3)), raw.train_x[:, :2].std((0, 2, 3))
    expected = (raw.test_x[:, :2] - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(data.test_x[:, :2], expected, atol=1e-4)


def test_chosen_classes_are_renumbered_in_the_order_given(tmp_path):
    whole, pair = npz(tmp_path).load(), npz(tmp_path, classes=(2, 0))
    data = pair.load()
    assert pair.shape().outputs == 2
    assert data.train_y.tolist() == [1, 0] * 6 + [1]
    for old, new in ((2, 0), (0, 1)):
        np.testing.assert_array_equal(
            data.train_x[data.train_y == new], whole.train_x[whole.train_y == old]
        )
        assert (data.test_y == new).sum() == (whole.test_y == old).sum()


@pytest.mark.parametrize(("classes", "parameters"), [((3, 8), 257), (None, 2570)])
def test_a_model_is_sized_without_the_images(classes, parameters):
    table = {"kind": "cifar10", "greyscale": True, "resize": [16, 16], "classes": classes}
    given = Problem(dataset=table, model="logistic" if classes else "softmax")
    assert given.parameters(Streams(0)) == parameters


def test_classes_have_names(tmp_path):
    table = write_cifar10(tmp_path)
    by_name = CIFAR10(**table, classes=("truck", "cat")).load()
    by_label = CIFAR10(**table, classes=(9, 3)).load()
    np.testing.assert_array_equal(by_name.train_x, by_label.train_x)
    np.testing.assert_array_equal(by_name.train_y, by_label.train_y)


# IDX


@pytest.mark.parametrize("zipped", [True, False])
def test_an_idx_file_of_three_images(zipped, tmp_path):
    for part in ("train", "t10k"):
        images = [[[0, 255]], [[51, 0]], [[0, 102]]]
        put(tmp_path / f"{part}-images-idx3-ubyte", idx(images), zipped=zipped)
        put(tmp_path / f"{part}-labels-idx1-ubyte", idx([7, 0, 9]), zipped=zipped)
    given = MNIST(folder=str(tmp_path))
    assert (given.shape().inputs, given.shape().outputs) == ((2,), 10)
    data = given.load()
    np.testing.assert_array_equal(data.train_x, np.float32([[0, 1], [0.2, 0], [0, 0.4]]))
    assert data.train_y.tolist() == data.test_y.tolist() == [7, 0, 9]


def test_the_test_files_can_be_trained_on(tmp_path):
    table = write_idx(tmp_path)
    usual, other = MNIST(**table).load(), MNIST(**table, train_on="test").load()
    np.testing.assert_array_equal(other.train_x, usual.test_x)
    np.testing.assert_array_equal(other.train_y, usual.test_y)
    assert other.test_x.shape == (0, 24)


@pytest.mark.parametrize(("cls", "name"), [(MNIST, "mnist"), (FashionMNIST, "fashion-mnist")])
def test_a_left_out_folder_is_the_users(cls, name, tmp_path, monkeypatch):
    monkeypatch.setenv("DESIM_DATA", str(tmp_path))
    write_idx(tmp_path / name)
    assert len(cls().load().train_x) == 20
    monkeypatch.delenv("DESIM_DATA")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(ScenarioError, match=rf"home/\.cache/desim/{name}': has no train-images"):
        cls().load()


def test_mnist_itself():
    data = MNIST(folder=str(shared("data/mnist"))).load()
    assert (data.train_x.shape, data.test_x.shape) == ((60_000, 784), (10_000, 784))
    # The counts in the set's README, and the mean and deviation that everybody uses.
    assert np.bincount(data.train_y)[:3].tolist() == [5923, 6742, 5958]
    assert np.bincount(data.test_y).tolist() == [
        *(980, 1135, 1032, 1010, 982),
        *(892, 958, 1028, 974, 1009),
    ]
    assert data.train_x.mean(dtype=float) == pytest.approx(0.1307, abs=5e-5)
    assert data.train_x.std(dtype=float) == pytest.approx(0.3081, abs=5e-5)


# CIFAR-10


def test_both_versions_and_both_archives_of_cifar10_are_the_same(tmp_path):
    x, y = batch(seed=0)
    tables = [write_cifar10(tmp_path / str(binary), binary=binary) for binary in (True, False)]
    inner = Path(tables[0]["folder"]) / "cifar-10-batches-bin"
    tables.append({"folder": str(inner)})
    for binary, home in ((False, "cifar-10-batches-py"), (True, "cifar-10-batches-bin")):
        content = {f"{home}/{name}": data for name, data in batches(binary=binary).items()}
        extra = {f"{home}/readme.html": b"<html>"}
        tables.append(write_archive(tmp_path / f"{home}.tar.gz", content | extra))
    loaded = [CIFAR10(**table).load() for table in tables]
    for data in loaded:
        assert (data.train_x.shape, data.test_x.shape) == ((50, 3072), (10, 3072))
        np.testing.assert_array_equal(data.train_x[:10], x.astype(np.float32) / np.float32(255))
        assert data.train_y[:10].tolist() == y
        np.testing.assert_array_equal(data.train_x, loaded[0].train_x)
        np.testing.assert_array_equal(data.test_x, loaded[0].test_x)


def test_a_hand_made_batch_is_what_python_reads_too():
    x, y = batch()
    table = pickle.loads(python2_pickle(x, y), encoding="bytes")
    np.testing.assert_array_equal(table[b"data"], x)
    assert table[b"labels"] == y


@pytest.mark.parametrize("protocol", [1, 2, 3, 4])
def test_a_batch_pickled_anew_is_read(protocol, tmp_path):
    table = write_cifar10(tmp_path)
    x, y = batch()
    again = pickle.dumps({"data": x, "labels": y}, protocol)
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(again)
    np.testing.assert_allclose(CIFAR10(**table).load().train_x[:10], x / 255, rtol=1e-6)


def test_cifar10_shape_needs_no_file(tmp_path):
    given = CIFAR10(folder=str(tmp_path), greyscale=True, resize=(16, 16), classes=(0, 1))
    assert (given.shape().inputs, given.shape().outputs) == ((256,), 2)


# NumPy archives


@pytest.mark.parametrize(
    ("name", "samples", "tests"),
    [
        ("data/cifar10-binary/cifar10-airplane-automobile.npz", 10_000, 2_000),
        ("data/imagenet-binary/tiny-imagenet-seashore-brown-bear-32x32.npz", 1_000, 100),
    ],
)
def test_real_pairs_of_classes(name, samples, tests):
    given = NPZ(file=str(shared(name)), greyscale=True)
    assert (given.shape().inputs, given.shape().outputs) == ((1024,), 2)
    data = given.load()
    assert (data.train_x.shape, data.test_x.shape) == ((samples, 1024), (tests, 1024))
    assert np.bincount(data.train_y).tolist() == [samples // 2, samples // 2]
    with np.load(shared(name)) as arrays:
        red, green, blue = arrays["x_train"][7].astype(float)
    expected = (0.299 * red + 0.587 * green + 0.114 * blue) / 255
    np.testing.assert_allclose(data.train_x[7], expected.ravel(), atol=1e-6)


# Folders of images


def test_folders_are_classes_in_the_order_of_their_names(tmp_path):
    given = ImageFolder(**write_images(tmp_path), flatten=False)
    assert (given.shape().inputs, given.shape().outputs) == ((3, 4, 6), 2)
    data = given.load()
    # "ant" before "bear"; images 0 and 5 of ten are for testing.
    assert data.train_y.tolist() == [0] * 4 + [1] * 4
    assert data.test_y.tolist() == [0, 1]
    # The files were written with the class's place in ("bear", "ant") as their red.
    np.testing.assert_allclose(data.train_x[:, 0, 0, 0], (1 - data.train_y) / 255, rtol=1e-6)
    np.testing.assert_allclose(data.train_x[:, 1, 0, 0] * 255, [1, 2, 3, 4] * 2, rtol=1e-6)


@pytest.mark.parametrize("test", ["val", "test"])
def test_a_folder_for_testing_is_used(test, tmp_path):
    data = ImageFolder(**write_images(tmp_path, ("train", test)), classes=("bear", "ant")).load()
    assert (len(data.train_y), len(data.test_y)) == (10, 10)
    assert data.train_y.tolist() == [1] * 5 + [0] * 5


def test_images_of_different_sizes_and_modes_are_resized(tmp_path):
    table = write_images(tmp_path)
    Image.fromarray(pixels(9, 5)).save(tmp_path / "ant" / "9.jpg")
    with pytest.raises(ScenarioError, match=r"9\.jpg has 9 x 5 pixels .* give resize = \[4, 6\]"):
        ImageFolder(**table).load()
    given = ImageFolder(**table, resize=(2, 3), greyscale=True)
    assert given.shape().inputs == given.load().train_x.shape[1:] == (6,)


def test_real_photographs_at_half_their_size(tmp_path):
    archive = shared("data/imagenet-binary/tiny-imagenet-6class-64x64-jpeg.zip")
    pair = shared("data/imagenet-binary/tiny-imagenet-seashore-brown-bear-32x32.npz")
    with zipfile.ZipFile(archive) as jpegs:
        names = [n for n in jpegs.namelist() if "n09428293" in n or "n02132136" in n]
        jpegs.extractall(tmp_path, [name for name in names if "/val/" in f"/{name}"])
    (home,) = {path.parents[1] for path in tmp_path.rglob("*.JPEG")}
    data = ImageFolder(folder=str(home), resize=(32, 32), test_fraction=0.5).load()
    found = np.concatenate([data.train_x, data.test_x])
    expected = NPZ(file=str(pair)).load().test_x
    # The reference's 2 x 2 means of the same photographs, rounded, in another order.
    assert found.shape == expected.shape == (100, 3072)
    distances = np.abs(found[:, None, ::97] - expected[None, :, ::97]).max(2)
    assert (distances.min(1) < 1.01 / 255).all()


# OpenML


def test_openml_is_asked_by_name_and_version_and_kept_in_a_cache(monkeypatch):
    x = pixels(40, 2352).astype(float)
    asked = fake_openml(monkeypatch, x, np.array([f"{k % 12}" for k in range(40)], object))
    given = OpenML(name="CIFAR_10", version=3, cache="/somewhere", flatten=False)
    assert given.shape().inputs == (3, 28, 28)
    data = given.load()
    assert asked[0] == {
        "name": "CIFAR_10",
        "version": 3,
        "data_home": "/somewhere",
        "return_X_y": True,
        "as_frame": False,
    }
    # Every fifth is for testing, and labels go by number: "2" before "10".
    assert data.test_y.tolist() == [k % 12 for k in range(0, 40, 5)]
    np.testing.assert_allclose(data.test_x[1], x[5].reshape(3, 28, 28) / 255, rtol=1e-6)


def test_openml_images_that_are_no_square_are_described(monkeypatch):
    fake_openml(monkeypatch, pixels(10, 12), np.arange(10) % 2)
    assert OpenML(name="a", image=(1, 3, 4), flatten=False).shape().inputs == (1, 3, 4)
    fake_openml(monkeypatch, pixels(10, 10), np.arange(10) % 2)
    for image in (None, (1, 3, 4), (2, 5, 1)):
        with pytest.raises(ScenarioError, match=r"image = .* an image of 10 numbers"):
            OpenML(name="a", image=image).shape()


def test_an_archive_of_something_else_is_no_cifar10(tmp_path):
    table = write_archive(tmp_path / "a.tar.gz", {"other/data_batch_1": b"x"})
    assert tarfile.is_tarfile(table["file"])
    with pytest.raises(ScenarioError, match=r"must hold data_batch_1, .* and has none of them"):
        CIFAR10(**table).load()


@pytest.mark.parametrize("kind", ["mnist", "fashion-mnist", "cifar10"])
def test_official_sets_are_sized_without_their_files(kind, monkeypatch, tmp_path):
    monkeypatch.setenv("DESIM_DATA", str(tmp_path / "nowhere"))
    dataset = Dataset.parse(kind)
    assert dataset.shape() == Shape((3072 if kind == "cifar10" else 784,), 10)
    with pytest.raises(ScenarioError, match="nowhere"):
        dataset.load()
