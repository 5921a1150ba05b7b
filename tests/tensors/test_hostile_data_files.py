"""Data files that are broken or mean harm end in one clear line; nothing in them is run."""

import gzip
import io
import struct
import zipfile
import zlib
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from data_files import (
    complaint,
    fake_openml,
    idx,
    pixels,
    put,
    write_cifar10,
    write_idx,
    write_images,
    write_npz,
)
from scipy import sparse

from desim.tensors.datasets.cifar10 import CIFAR10
from desim.tensors.datasets.image_folder import ImageFolder
from desim.tensors.datasets.mnist import MNIST
from desim.tensors.datasets.npz import NPZ
from desim.tensors.datasets.openml import OpenML

# IDX

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
GOOD = idx(pixels(20, 6, 4))
BAD_IDX = [
    (IMAGES, GOOD[:-1], "ends too early, 1 bytes are missing"),
    (IMAGES, GOOD[:10], "ends too early, 2 bytes are missing"),
    (IMAGES, b"", "ends too early, 4 bytes are missing"),
    (IMAGES, GOOD + b"x", "goes on after the 480 bytes that its header announces"),
    (IMAGES, idx(np.arange(20) % 10), "begins with the number 2049, an IDX file of images with"),
    (IMAGES, b"\x1f\x8b" + GOOD, "begins with the number 529203200"),
    (LABELS, idx(np.zeros((20, 1, 1))), "begins with the number 2051, an IDX file of labels with"),
    (IMAGES, struct.pack(">4I", 2051, *[2**32 - 1] * 3), "announces 4294967295 x 4294967295"),
    (IMAGES, struct.pack(">4I", 2051, 0, 28, 28), "announces 0 x 28 x 28 bytes"),
    (LABELS, idx(np.arange(21) % 10), "has 20 images and train-labels-idx1-ubyte 21 labels"),
    (LABELS, idx([10] * 20), "holds a label 10; labels must be from 0 to 9"),
    ("t10k-images-idx3-ubyte", idx(pixels(20, 6, 5)), "must have the same size"),
]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(("name", "data", "part"), BAD_IDX)
def test_a_broken_idx_file(name, data, part, zipped, tmp_path):
    table = write_idx(tmp_path, zipped=zipped)
    put(tmp_path / name, data, zipped=zipped)
    assert part in complaint(MNIST(**table))


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda data: data[:-20], "end-of-stream marker"),
        (lambda data: data[:-8] + b"\0\0\0\0" + data[-4:], "CRC check failed"),
        (lambda data: b"PK" + data[2:], "Not a gzipped file"),
        (lambda data: data[:40] + b"\xff" * 40 + data[80:], "can't be read"),
        (lambda data: data + b"trailing", "can't be read"),
    ],
)
def test_a_broken_gzip(damage, part, tmp_path):
    table = write_idx(tmp_path)
    file = tmp_path / f"{IMAGES}.gz"
    file.write_bytes(damage(file.read_bytes()))
    assert part in complaint(MNIST(**table))


def test_a_gzip_that_never_ends_fills_no_memory(tmp_path):
    table = write_idx(tmp_path)
    (tmp_path / f"{IMAGES}.gz").write_bytes(gzip.compress(GOOD + bytes(2**27)))
    assert "goes on after" in complaint(MNIST(**table))


def test_missing_files_are_told_with_their_names_and_the_ways_out(tmp_path):
    (tmp_path / LABELS).mkdir()
    text = complaint(MNIST(folder=str(tmp_path)))
    for name in ("train-images", "train-labels", "t10k-images", "t10k-labels"):
        assert name in text
    assert str(tmp_path) in text
    assert "--set problem.dataset.folder=..." in text
    assert "kind = 'openml', name = 'mnist_784'" in text


def test_a_class_that_is_not_there(tmp_path):
    table = write_idx(tmp_path)
    assert "classes.1 = 10: no such class; the labels are 0 to 9" in complaint(
        MNIST(**table, classes=(1, 10))
    )
    text = complaint(CIFAR10(**write_cifar10(tmp_path / "c"), classes=("cat", "hors")))
    assert "classes.1 = 'hors': no such class; did you mean 'horse'?" in text
    assert "this class stands there twice" in complaint(MNIST(**table, classes=(3, "3")))
    put(tmp_path / LABELS, idx([1] * 20), zipped=True)
    assert "has no training image of class '4'" in complaint(MNIST(**table, classes=(1, 4)))


# NumPy archives

X, Y = pixels(20, 3, 4, 4), np.arange(20) % 3


class Proof:
    """Would say on loading that it was loaded."""

    def __reduce__(self):
        return print, ("it ran",)


@pytest.mark.parametrize(
    ("arrays", "part"),
    [
        ({"x_train": np.array([Proof()], object)}, "x_train can't be read (it holds Python obj"),
        ({"y_train": np.array([Proof()], object)}, "y_train can't be read (it holds Python obj"),
        ({"x_train": None}, "has no x_train; must hold x_train and y_train"),
        ({"y_train": None}, "has no y_train"),
        ({"y_test": None}, "has no y_test"),
        ({"x_test": None}, "has no x_test"),
        ({"x_train": X[:, 0, 0]}, "x_train has the shape (20, 4)"),
        ({"x_train": X[None]}, "x_train has the shape (1, 20, 3, 4, 4)"),
        ({"x_train": X[:, :2]}, "x_train has the shape (20, 2, 4, 4)"),
        ({"x_train": X.transpose(0, 2, 3, 1)}, "with 1 or 3 channels"),
        ({"x_train": np.uint8(3)}, "x_train has the shape ()"),
        ({"x_train": X[:, :, :0]}, "x_train has the shape (20, 3, 0, 4)"),
        ({"x_train": X.astype(np.int64)}, "x_train is of int64"),
        ({"x_train": X.astype(float)}, "x_train must be uint8, or floats from 0 to 1"),
        ({"x_train": np.full(X.shape, np.nan)}, "x_train must be uint8, or floats from 0 to 1"),
        ({"x_train": X[:19]}, "x_train has 19 images and y_train 20 labels"),
        ({"x_train": X[:0], "y_train": Y[:0]}, "at least one"),
        ({"x_test": X[:7]}, "holds 7 images and 8 labels"),
        ({"x_test": X[:8, :, :2]}, "must hold images of one form"),
        ({"y_train": Y - 1}, "y_train has labels from -1 to 1"),
        ({"y_train": Y * 10**9}, "y_train has labels from 0 to 2000000000"),
        ({"y_train": Y / 2}, "is of float64; must be whole numbers"),
        ({"y_train": Y[:, None]}, "y_train has the shape (20, 1)"),
        ({"y_test": np.arange(8)}, "holds a label 3; labels must be from 0 to 2"),
    ],
)
def test_a_numpy_archive_of_something_else(arrays, part, tmp_path, capsys):
    assert part in complaint(NPZ(**write_npz(tmp_path, **arrays)))
    assert capsys.readouterr().out == ""


def test_a_broken_numpy_archive(tmp_path):
    table = write_npz(tmp_path)
    file = Path(table["file"])
    whole = file.read_bytes()
    damaged = whole.replace(X.tobytes()[:8], b"damaged!", 1)
    assert damaged != whole
    for data in (b"", b"no archive", whole[:500], damaged):
        file.write_bytes(data)
        assert "can't be read" in complaint(NPZ(**table))
    file.unlink()
    assert "can't be read" in complaint(NPZ(**table))


@pytest.mark.parametrize("shape", [(10**15, 28, 28), (2**62, 1, 1), (21, 4, 4)])
def test_a_numpy_header_that_announces_what_is_not_there(shape, tmp_path):
    table = write_npz(tmp_path)
    header, labels = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    np.save(labels, np.arange(shape[0]) % 2 if shape[0] < 100 else np.arange(20) % 2)
    with zipfile.ZipFile(table["file"], "w") as archive:
        archive.writestr("x_train.npy", header.getvalue() + bytes(20 * 16))
        archive.writestr("y_train.npy", labels.getvalue())
    text = complaint(NPZ(**table))
    assert "x_train can't be read" in text or "x_train has" in text


# Folders of images


def test_an_image_that_is_none(tmp_path):
    table = write_images(tmp_path)
    file = tmp_path / "ant" / "2.png"
    good = file.read_bytes()
    # The last 20 bytes are a checksum and the end mark: without them all pixels are still there.
    for data in (b"", b"GIF89a....", b"%!PS-Adobe\n", good[:20], good[:40], good[:-25]):
        file.write_bytes(data)
        text = complaint(ImageFolder(**table))
        assert f"{file} can't be read as a JPEG or PNG" in text
        assert text.endswith("replace or remove it")


def png(width: int, height: int) -> bytes:
    """A PNG that announces a size and has nearly no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(10))
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("side", [10_000, 60_000])
@pytest.mark.parametrize("name", ["0.png", "3.png"])
def test_an_image_that_would_fill_the_memory(side, name, tmp_path):
    table = write_images(tmp_path)
    (tmp_path / "ant" / name).write_bytes(png(side, side))
    assert "exceeds limit" in complaint(ImageFolder(**table, resize=(2, 2)))
    assert "exceeds limit" in complaint(ImageFolder(**table))


def test_the_usual_folder_is_named_where_none_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("DESIM_DATA", str(tmp_path))
    told = complaint(ImageFolder(resize=(2, 2)))
    assert f"'{tmp_path}/image-folder': can't be read" in told
    assert "must hold train/CLASS/*.jpg" in told
    write_images(tmp_path / "image-folder")
    assert len(ImageFolder(resize=(2, 2)).load().train_y)


def test_folders_without_images(tmp_path):
    table = write_images(tmp_path, ("train", "val"))
    (tmp_path / "train" / "cow").mkdir()
    (tmp_path / "train" / "cow" / "notes.txt").write_text("none yet")
    assert f"{tmp_path}/train/cow holds no image" in complaint(ImageFolder(**table))
    (tmp_path / "train" / "cow" / "0.png").write_bytes(
        (tmp_path / "train" / "ant" / "0.png").read_bytes()
    )
    assert f"{tmp_path}/val/cow holds no image" in complaint(ImageFolder(**table))
    assert "holds 0" in complaint(ImageFolder(folder=str(tmp_path / "val" / "ant")))
    assert "can't be read" in complaint(ImageFolder(folder=str(tmp_path / "nowhere")))
    assert "classes.1 = 'cat': no such class; did you mean" in complaint(
        ImageFolder(**table, classes=("ant", "cat"))
    )


# OpenML


@pytest.mark.parametrize(
    ("features", "part"),
    [
        (URLError("Temporary failure in name resolution"), "needs the network once"),
        (ValueError("The md5 checksum of the file\ndoes not match"), "md5 checksum"),
        (pixels(10, 4) + 0.5, "whole numbers from 0 to 255"),
        (np.full((10, 4), np.nan), "whole numbers from 0 to 255"),
        (np.full((10, 4), "a"), "whole numbers from 0 to 255"),
        (pixels(10, 4).astype(int) - 300, "whole numbers from 0 to 255"),
        (sparse.csr_array(np.eye(10)), "is no table of images"),
        (pixels(0, 4), "whole numbers from 0 to 255"),
    ],
)
def test_openml_without_a_network_or_with_something_else(features, part, monkeypatch):
    fake_openml(monkeypatch, features, np.arange(10) % 2)
    text = complaint(OpenML(name="mnist_784"))
    assert part in text
    assert text.startswith("problem.dataset.name = 'mnist_784', version 1: ")
