"""Small files of every format that the data sets read, written by hand."""

import gzip
import io
import struct
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import sklearn.datasets
from PIL import Image

from desim.errors import ScenarioError
from desim.tensors.datasets.base import Dataset

Table = dict[str, Any]


def complaint(dataset: Dataset) -> str:
    """The one line with which loading ends."""
    with pytest.raises(ScenarioError) as error:
        dataset.load()
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 700
    assert text.startswith("problem.dataset.")
    return text


def pixels(*shape: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def idx(array: Any, magic: int | None = None) -> bytes:
    """The bytes of an IDX file."""
    array = np.asarray(array, np.uint8)
    magic = 2048 + array.ndim if magic is None else magic
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


def write_idx(folder: Path, samples: int = 20, *, zipped: bool = True) -> Table:
    """The four files of MNIST."""
    folder.mkdir(exist_ok=True)
    for i, part in enumerate(("train", "t10k")):
        images, labels = pixels(samples, 6, 4, seed=i), np.arange(samples) % 10
        put(folder / f"{part}-images-idx3-ubyte", idx(images), zipped=zipped)
        put(folder / f"{part}-labels-idx1-ubyte", idx(labels), zipped=zipped)
    return {"folder": str(folder)}


def put(file: Path, data: bytes, *, zipped: bool) -> None:
    if zipped:
        file.with_name(file.name + ".gz").write_bytes(gzip.compress(data))
    else:
        file.write_bytes(data)


def batch(samples: int = 10, seed: int = 0) -> tuple[npt.NDArray[np.uint8], list[int]]:
    return pixels(samples, 3072, seed=seed), [k % 10 for k in range(samples)]


def batches(*, binary: bool) -> dict[str, bytes]:
    """The six files of CIFAR-10 by name."""
    found = {}
    for seed, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        x, y = batch(seed=seed)
        if binary:
            found[f"{name}.bin"] = np.column_stack([np.array(y, np.uint8), x]).tobytes()
        else:
            found[name] = python2_pickle(x, y)
    return found


def python2_pickle(x: npt.NDArray[np.uint8], y: Sequence[int]) -> bytes:
    """A batch opcode by opcode as Python 2 wrote it: texts and the array's bytes are 'str'."""

    def text(word: bytes) -> bytes:
        return b"U" + bytes([len(word)]) + word

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        + (number(0) + b"\x85" + text(b"b") + b"\x87R")
        + (b"(" + number(1) + number(x.shape[0]) + number(x.shape[1]) + b"\x86")
        + (b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + b"\x87R")
        + (b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb")
        + (b"\x89" + b"T" + struct.pack("<i", x.size) + x.tobytes() + b"tb")
    )
    labels = b"](" + b"".join(number(label) for label in y) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + labels + b"u."


def write_cifar10(folder: Path, *, binary: bool = False) -> Table:
    home = folder / f"cifar-10-batches-{'bin' if binary else 'py'}"
    home.mkdir(parents=True)
    for name, data in batches(binary=binary).items():
        (home / name).write_bytes(data)
    return {"folder": str(folder)}


def write_archive(file: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Table:
    """A .tar.gz; a member is its bytes, or its whole description."""
    with tarfile.open(file, "w:gz") as archive:
        for name, data in members.items():
            if isinstance(data, tarfile.TarInfo):
                archive.addfile(data)
            else:
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return {"file": str(file)}


def write_npz(folder: Path, **arrays: Any) -> Table:
    """An .npz; an array given as None is left out."""
    given = {
        "x_train": pixels(20, 3, 4, 4),
        "y_train": np.arange(20) % 3,
        "x_test": pixels(8, 3, 4, 4, seed=1),
        "y_test": np.arange(8) % 3,
    } | arrays
    folder.mkdir(exist_ok=True)
    np.savez(folder / "a.npz", **{k: v for k, v in given.items() if v is not None})
    return {"file": str(folder / "a.npz")}


def write_images(folder: Path, parts: Sequence[str] = ("",), each: int = 5) -> Table:
    """Two class folders of PNGs in each part; the class's number is the red of every pixel."""
    for part in parts:
        for label, name in enumerate(("bear", "ant")):
            home = folder / part / name
            home.mkdir(parents=True)
            for k in range(each):
                image = np.full((4, 6, 3), (label, k, 7), np.uint8)
                Image.fromarray(image).save(home / f"{k}.png")
    return {"folder": str(folder)}


def fake_openml(monkeypatch: pytest.MonkeyPatch, features: Any, targets: Any) -> list[Table]:
    """Answers instead of OpenML; returns what it was asked for."""
    asked = []

    def fetch(name: str, **options: Any) -> tuple[Any, Any]:
        asked.append({"name": name, **options})
        if isinstance(features, Exception):
            raise features
        return features, targets

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    return asked


def write_openml(monkeypatch: pytest.MonkeyPatch) -> Table:
    targets = np.array([str(k % 10) for k in range(40)], object)
    fake_openml(monkeypatch, pixels(40, 784).astype(float), targets)
    return {}


#: Makes the files that a kind of data set needs, and gives the fields that name them.
WRITERS: dict[str, Callable[[Path, pytest.MonkeyPatch], Table]] = {
    "mnist": lambda folder, _: write_idx(folder / "mnist"),
    "fashion-mnist": lambda folder, _: write_idx(folder / "fashion", zipped=False),
    "cifar10": lambda folder, _: write_cifar10(folder / "cifar10"),
    "npz": lambda folder, _: write_npz(folder / "npz"),
    "image-folder": lambda folder, _: write_images(folder / "images"),
    "openml": lambda _, monkeypatch: write_openml(monkeypatch),
}
