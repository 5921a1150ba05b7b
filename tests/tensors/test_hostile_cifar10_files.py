"""Batches and archives of CIFAR-10 that are broken or mean harm: one clear line, nothing is run."""

import os
import pickle
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from data_files import (
    batch,
    batches,
    complaint,
    pixels,
    python2_pickle,
    write_archive,
    write_cifar10,
)

from desim.tensors.datasets import _plain_pickle as plain_pickle
from desim.tensors.datasets.cifar10 import CIFAR10


class Harmful:
    """A pickle of this would make whoever loads it run a command."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch '{self.file}'",)


def harmful(file: Path) -> bytes:
    return pickle.dumps({"data": pixels(10, 3072), "labels": Harmful(file)}, 2)


def cifar10(tmp_path: Path, data: bytes) -> CIFAR10:
    """CIFAR-10 with another first batch."""
    table = write_cifar10(tmp_path / "cifar10")
    (tmp_path / "cifar10" / "cifar-10-batches-py" / "data_batch_1").write_bytes(data)
    return CIFAR10(**table)


def test_a_pickle_that_would_run_a_command_runs_nothing(tmp_path):
    proof = tmp_path / "it-ran"
    data = harmful(proof)
    text = complaint(cifar10(tmp_path, data))
    assert f"asks for {os.system.__module__}.system); nothing in it was run" in text
    assert not proof.exists()
    pickle.loads(data)  # the file does harm where it is read carelessly
    assert proof.exists()


def test_a_pickle_in_an_archive_runs_nothing_either(tmp_path):
    proof = tmp_path / "it-ran"
    members = {f"cifar-10-batches-py/{name}": data for name, data in batches(binary=False).items()}
    members["cifar-10-batches-py/test_batch"] = harmful(proof)
    before = sorted(tmp_path.rglob("*"))
    table = write_archive(tmp_path / "a.tar.gz", members)
    assert "nothing in it was run" in complaint(CIFAR10(**table))
    assert sorted(tmp_path.rglob("*")) == [*before, tmp_path / "a.tar.gz"]


@pytest.mark.parametrize(
    "asked",
    [
        b"cbuiltins\neval\n",
        b"cos\nsystem\n",
        b"cnumpy.core.multiarray\nfromfile\n",
        b"cnumpy\nload\n",
        b"cnumpy\nfromfile\n",
        b"cnumpy\nmemmap\n",
        b"c_codecs\nopen\n",
        b"ccodecs\nopen\n",
        b"cdesim.tensors.datasets._plain_pickle\nloads\n",
        b"\x8c\x0fnumpy.lib.npyio\x8c\x04load\x93",
        b"cnumpy\nndarray.tofile\n",
    ],
)
def test_only_four_names_are_answered(asked):
    with pytest.raises(ValueError, match="asks for"):
        plain_pickle.loads(b"\x80\x04" + asked + b".")


@pytest.mark.parametrize(
    "asked", [b"cnumpy\n_reconstruct\n", b"cnumpy\ndtype\n", b"c_codecs\nencode\n"]
)
def test_what_a_pickle_sets_on_an_answer_is_forgotten(asked, tmp_path):
    x, y = batch()
    good = pickle.dumps({"data": x, "labels": y}, 2)
    for state in (b"}X\x01\x00\x00\x00xK\x01s", b"}X\x08\x00\x00\x00__doc__xK\x01sN\x86"):
        plain_pickle.loads(b"\x80\x02" + asked + state + b"bN.")
        with pytest.raises(AttributeError):
            _ = plain_pickle._Reader(b"").find_class(*asked[1:-1].decode().split("\n")).x
    np.testing.assert_array_equal(plain_pickle.loads(good)["data"], x)


def test_a_pickle_imports_nothing(tmp_path, monkeypatch):
    (tmp_path / "lurking.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match=r"asks for lurking\.x"):
        plain_pickle.loads(b"clurking\nx\n.")
    assert "lurking" not in sys.modules


def array_of(dtype: bytes, shape: bytes, raw: bytes) -> bytes:
    """A pickled array of any type, shape and bytes."""
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R("
        + (b"K\x01" + shape + b"cnumpy\ndtype\n" + b"U" + bytes([len(dtype)]) + dtype)
        + (b"K\x00K\x01\x87R\x89" + raw + b"tb.")
    )


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (array_of(b"O8", b"K\x01\x85", b"]K\x05a"), "must be of uint8"),
        (array_of(b"f8", b"K\x01\x85", b"U\x08" + b"x" * 8), "must be of uint8"),
        (array_of(b"u1", b"J\xff\xff\xff\x7f\x85", b"U\x01x"), "as many bytes as its shape"),
        (array_of(b"u1", b"K\x01\x85", b"]"), "an array must be of uint8"),
        (b"\x80\x02c" + b"x" * 10**6 + b"\ny\n.", "is no batch"),
        (b"\x80\x02cnumpy\nndarray\n)R.", "is no batch"),
        (b"", "EOFError"),
        (b"not a pickle", "is no batch"),
        (b"\x80\x02" + b"(" * 9 + b"t" * 3, "is no batch"),
        # None, remembered under the number two billion.
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "must hold 'data'"),
        (b"\x80\x02B\xff\xff\xff\x7f.", "is no batch"),
        (b"P1\n.", "persistent"),
        (b"\x82\x01.", "unregistered extension"),
        (pickle.dumps({"data": pixels(3, 5), "labels": [1] * 3}, 2), "must hold 'data'"),
        (pickle.dumps({"data": pixels(3, 3072), "labels": [1] * 4}, 2), "as many whole numbers"),
        (pickle.dumps({"data": pixels(1, 3072), "labels": ["1"]}, 2), "as many whole numbers"),
        (pickle.dumps({"data": pixels(1, 3072), "labels": [2**80]}, 2), "as many whole numbers"),
        (pickle.dumps({"data": pixels(2, 3072), "labels": [[1], 2]}, 2), "as many whole numbers"),
        (pickle.dumps({"data": pixels(3, 3072)}, 2), "must hold 'data'"),
        (pickle.dumps([1, 2], 2), "must hold 'data'"),
        (python2_pickle(*batch())[:20_000], "is no batch"),
        (python2_pickle(pixels(3, 3072), [0, 1, 10]), "holds a label 10"),
        (python2_pickle(pixels(3, 3072), [0, 1, -1]), "holds a label -1"),
        (python2_pickle(pixels(0, 3072), []), "as many whole numbers"),
    ],
)
def test_a_batch_that_is_none(data, part, tmp_path):
    assert part in complaint(cifar10(tmp_path, data))


@pytest.mark.parametrize("length", [0, 3072, 3073 * 2 + 1])
def test_a_binary_batch_of_another_length(length, tmp_path):
    table = write_cifar10(tmp_path, binary=True)
    (tmp_path / "cifar-10-batches-bin" / "data_batch_3.bin").write_bytes(bytes(length))
    assert f"data_batch_3: has {length:,} bytes" in complaint(CIFAR10(**table))


def test_a_batch_that_is_missing_or_endless(tmp_path):
    table = write_cifar10(tmp_path)
    file = tmp_path / "cifar-10-batches-py" / "data_batch_2"
    file.unlink()
    assert "data_batch_2: can't be read" in complaint(CIFAR10(**table))
    with file.open("wb") as stream:
        stream.truncate(2**40)  # a file of holes
    assert "data_batch_2: is too long" in complaint(CIFAR10(**table))
    assert "has no cifar-10-batches-py or cifar-10" in complaint(
        CIFAR10(folder=str(tmp_path / "x"))
    )


def link(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("/etc/passwd", b"x"),
        ("../../escaped", b"x"),
        ("cifar-10-batches-py/../../escaped", b"x"),
        ("link", link("link", tarfile.SYMTYPE, "/etc/passwd")),
        ("link", link("cifar-10-batches-py/test_batch", tarfile.LNKTYPE, "../x")),
        ("pipe", link("pipe", tarfile.FIFOTYPE, "")),
    ],
)
def test_an_archive_that_reaches_outside(name, member, tmp_path):
    home = tmp_path / "a" / "b"
    home.mkdir(parents=True)
    good = {f"cifar-10-batches-py/{n}": data for n, data in batches(binary=False).items()}
    table = write_archive(home / "a.tar.gz", good | {name: member})
    assert "is a link or points out of the archive" in complaint(CIFAR10(**table))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.tar.gz"]


def test_an_archive_that_is_broken_or_holds_too_much(tmp_path):
    good = {f"cifar-10-batches-py/{n}": data for n, data in batches(binary=False).items()}
    table = write_archive(tmp_path / "a.tar.gz", good)
    whole = Path(table["file"]).read_bytes()
    for data in (whole[: len(whole) // 2], b"", b"no archive", whole[:99] + b"x" + whole[100:]):
        Path(table["file"]).write_bytes(data)
        complaint(CIFAR10(**table))
    Path(table["file"]).unlink()
    assert "can't be read" in complaint(CIFAR10(**table))
    bomb = {"cifar-10-batches-py/test_batch": bytes(2**26 + 1)}
    text = complaint(CIFAR10(**write_archive(tmp_path / "b.tar.gz", good | bomb)))
    assert "its member 'cifar-10-batches-py/test_batch' is no batch" in text
    part = dict(list(good.items())[:3])
    text = complaint(CIFAR10(**write_archive(tmp_path / "c.tar.gz", part)))
    assert "and has data_batch_1, data_batch_2, data_batch_3" in text
