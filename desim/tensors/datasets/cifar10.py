"""CIFAR-10: 50,000 + 10,000 colour images of ten classes of things, 32 x 32 pixels.

Krizhevsky 2009, 'Learning Multiple Layers of Features from Tiny Images'. A batch of the binary
version is a row of 3,073 bytes for each image: the label, then the red, green and blue plane. A
batch of the Python version is a pickle with the arrays of planes and a list of labels.
"""

import tarfile
import zlib
from collections.abc import Callable
from functools import partial
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import ClassVar, Self

import numpy as np
from pydantic import model_validator

from desim.errors import ScenarioError
from desim.schema.paths import regular
from desim.schema.phrases import one_line, short
from desim.tensors.datasets import _plain_pickle as plain_pickle
from desim.tensors.datasets._images import Header, Images, ImageSet, Part, default_folder

_PIXELS = 3 * 32 * 32
_TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
_TEST = "test_batch"
_FOLDERS = {"cifar-10-batches-py": "", "cifar-10-batches-bin": ".bin"}

#: A batch has 31 MB; what is much longer is none.
_MOST_BYTES = 2**26

#: Gives the bytes of a file by its name; and how the names of batches end.
Source = tuple[Callable[[str], bytes], str]


class CIFAR10(ImageSet):
    """Colour images of ten classes of things, from the official archive; nothing is downloaded.

    Either version will do, Python (its pickles are read without running what they ask for) or
    binary.

    Attributes:
        folder: what holds cifar-10-batches-py or cifar-10-batches-bin, or is one of them; left out,
            cifar10 in $DESIM_DATA, or else in ~/.cache/desim. A relative path is meant from the
            scenario's folder.
        file: instead of a folder: the archive itself, cifar-10-python.tar.gz or
            cifar-10-binary.tar.gz.
    """

    kind: ClassVar[str] = "cifar10"
    names: ClassVar[tuple[str, ...]] = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )

    folder: str | None = None
    file: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.folder is not None and self.file is not None:
            raise ValueError(f"file = {self.file!r}: give a folder or a file, not both")
        return self

    def where(self) -> str:
        """The folder or the archive."""
        if self.file is not None:
            return f"problem.dataset.file = {self.file!r}"
        return f"problem.dataset.folder = {str(self._folder())!r}"

    def header(self) -> Header:
        """The same for every copy of the set: no file is looked at."""
        return Header(3, 32, 32, self.names)

    def read(self) -> Images:
        """Five batches for training and one for testing."""
        read, ending = self._from_folder() if self.file is None else self._from_archive(self.file)
        parts = [self._part(name, read(name + ending), not ending) for name in (*_TRAIN, _TEST)]
        x, y = (np.concatenate([part[i] for part in parts[:-1]]) for i in range(2))
        return Images(self.header(), Part(x, y), parts[-1])

    def _part(self, name: str, data: bytes, pickled: bool) -> Part:
        key = f"{self.where()}, {name}"
        if not pickled:
            if not data or len(data) % (1 + _PIXELS):
                raise ScenarioError(
                    f"{key}: has {len(data):,} bytes; must be a multiple of {1 + _PIXELS:,}, so "
                    "fetch the archive again"
                )
            rows = np.frombuffer(data, np.uint8).reshape(-1, 1 + _PIXELS)
            return Part(rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0])
        try:
            table = plain_pickle.loads(data)
        except ValueError as error:
            raise ScenarioError(
                f"{key}: is no batch of CIFAR-10, must be a pickle of arrays of bytes and nothing "
                f"else ({error}); nothing in it was run"
            ) from None
        try:
            named = {k.decode() if isinstance(k, bytes) else k: v for k, v in table.items()}
            x, y = named["data"], np.array(named["labels"])
            good = isinstance(x, np.ndarray) and x.ndim == 2 and x.shape[1] == _PIXELS
            good = good and y.shape == (len(x),) and y.dtype.kind in "ui"
        except (AttributeError, KeyError, ValueError, TypeError, OverflowError):
            good = False
        if not good:
            raise ScenarioError(
                f"{key}: is no batch of CIFAR-10; must hold 'data', an array of samples x "
                f"{_PIXELS:,}, and 'labels', as many whole numbers"
            )
        return Part(x.reshape(-1, 3, 32, 32), y)

    def content_paths(self) -> dict[str, tuple[Path, ...]]:
        """The archive, or the batches that are there."""
        if self.file is not None:
            return {"file": (Path(self.file),)}
        batches = [
            home / f"{name}{ending}"
            for folder, ending in _FOLDERS.items()
            for home in (self._folder() / folder, self._folder())
            for name in (*_TRAIN, _TEST)
        ]
        return {"folder": tuple(file for file in batches if file.is_file())}

    def _folder(self) -> Path:
        return default_folder(self.kind) if self.folder is None else Path(self.folder)

    def _from_folder(self) -> Source:
        for name, ending in _FOLDERS.items():
            for home in (self._folder() / name, self._folder()):
                if (home / f"{_TEST}{ending}").is_file():
                    return partial(self._file, home), ending
        raise ScenarioError(
            f"{self.where()}: has no {' or '.join(_FOLDERS)}; unpack cifar-10-python.tar.gz there, "
            "name the folder with --set problem.dataset.folder=... or the archive itself with "
            "--set problem.dataset.file=...; or let OpenML provide the images, "
            "dataset = {kind = 'openml', name = 'CIFAR_10', version = 1}"
        )

    def _file(self, home: Path, name: str) -> bytes:
        try:
            if regular(home / name).stat().st_size > _MOST_BYTES:
                raise ScenarioError(f"{self.where()}, {name}: is too long for a batch")
            return (home / name).read_bytes()
        except OSError as error:
            raise ScenarioError(f"{self.where()}, {name}: can't be read ({error})") from None

    def _from_archive(self, file: str) -> Source:
        """Reads the batches in memory: nothing is unpacked."""
        found: dict[str, bytes] = {}
        try:
            with tarfile.open(regular(file), "r:*") as archive:
                for member in archive:
                    self._refuse_outside(member)
                    path = PurePosixPath(member.name)
                    if path.parent.name in _FOLDERS and path.stem in (*_TRAIN, _TEST):
                        stream = archive.extractfile(member)
                        if stream is None or member.size > _MOST_BYTES:
                            raise ScenarioError(
                                f"{self.where()}: its member {short(member.name)} is no batch"
                            )
                        found[path.name] = stream.read()
        except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error, LZMAError) as error:
            raise ScenarioError(
                f"{self.where()}: can't be read ({one_line(error)}); must be "
                "cifar-10-python.tar.gz or cifar-10-binary.tar.gz, whole"
            ) from None
        for ending in _FOLDERS.values():
            if all(f"{name}{ending}" in found for name in (*_TRAIN, _TEST)):
                return found.__getitem__, ending
        raise ScenarioError(
            f"{self.where()}: must hold {', '.join(_TRAIN)} and {_TEST}, and has "
            f"{', '.join(found) or 'none of them'}"
        )

    def _refuse_outside(self, member: tarfile.TarInfo) -> None:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isreg() or member.isdir()):
            raise ScenarioError(
                f"{self.where()}: its member {short(member.name)} is a link or points out of the "
                "archive, which CIFAR-10's own has not; fetch the archive again"
            )
