"""IDX files, the format of MNIST: a magic number, the sizes, then one byte a pixel or label.

LeCun, Cortes, Burges 1998, 'The MNIST database of handwritten digits': all numbers of the header
are big-endian 32-bit; the magic number is 2051 for images (three sizes) and 2049 for labels (one).
"""

import gzip
import zlib
from math import prod
from pathlib import Path
from typing import IO, ClassVar, Literal, cast

import numpy as np
import numpy.typing as npt

from desim.errors import ScenarioError
from desim.tensors.datasets._images import Header, Images, ImageSet, Part, default_folder

_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
#: Of their names; the first that is there is taken.
_ENDINGS = (".gz", "")

#: Height and width of the images of both sets, in pixels.
_OFFICIAL = (28, 28)

_SIZES = {2051: 3, 2049: 1}

#: A header that announces more bytes than this is not believed (MNIST's longest file has 47 MB).
_MOST_BYTES = 2**31


class IDXSet(ImageSet):
    """Base of the sets that come as four IDX files.

    Class attributes:
        names: the classes' names.
        openml: the name and version of the same images at OpenML.

    Attributes:
        folder: where the four files are, gzipped (.gz) or not; left out, a folder named after the
            kind in $DESIM_DATA, or else in ~/.cache/desim. A relative path is meant from the
            scenario's folder.
        train_on: "train" trains on the train files and tests on the t10k files; "test" trains on
            the 10,000 images of the t10k files and has no test part.
    """

    names: ClassVar[tuple[str, ...]]
    openml: ClassVar[tuple[str, int]]

    folder: str | None = None
    train_on: Literal["train", "test"] = "train"

    def where(self) -> str:
        """The folder."""
        return f"problem.dataset.folder = {str(self._folder())!r}"

    def header(self) -> Header:
        """The first 16 bytes of a file of images; the official size where no folder is named.

        Then a run of the clock alone needs no files.
        """
        if self.folder is None and not self._folder().is_dir():
            return Header(1, *_OFFICIAL, self.names)
        file = self._find(_FILES[self.train_on][0])
        with _Reading(file, f"{self.where()}, {file.name}") as reading:
            _, height, width = reading.sizes(2051)
        return Header(1, height, width, self.names)

    def read(self) -> Images:
        """The two or four files."""
        header = self.header()
        train = self._part(*_FILES[self.train_on])
        if self.train_on == "test":
            return Images(header, train, Part(train.x[:0], train.y[:0]))
        test = self._part(*_FILES["test"])
        if test.x.shape[1:] != train.x.shape[1:]:
            raise ScenarioError(
                f"{self.where()}: the train and the t10k images must have the same size, and have "
                f"{train.x.shape[2:]} and {test.x.shape[2:]}"
            )
        return Images(header, train, test)

    def _part(self, images: str, labels: str) -> Part:
        x, y = (self._bytes(name, magic) for name, magic in ((images, 2051), (labels, 2049)))
        if len(x) != len(y):
            raise ScenarioError(
                f"{self.where()}: {images} has {len(x):,} images and {labels} {len(y):,} labels; "
                "there must be as many of both"
            )
        return Part(x[:, None], y)

    def _bytes(self, name: str, magic: int) -> npt.NDArray[np.uint8]:
        file = self._find(name)
        with _Reading(file, f"{self.where()}, {file.name}") as reading:
            return reading.rest(reading.sizes(magic))

    def _folder(self) -> Path:
        return default_folder(self.kind) if self.folder is None else Path(self.folder)

    def content_paths(self) -> dict[str, tuple[Path, ...]]:
        """The files that are there."""
        names = [
            f"{name}{ending}" for pair in _FILES.values() for name in pair for ending in _ENDINGS
        ]
        files = (self._folder() / name for name in names)
        return {"folder": tuple(file for file in files if file.is_file())}

    def _find(self, name: str) -> Path:
        for file in (self._folder() / f"{name}{ending}" for ending in _ENDINGS):
            if file.is_file():
                return file
        wanted = [file for pair in _FILES.values() for file in pair]
        other, version = self.openml
        raise ScenarioError(
            f"{self.where()}: has no {name}[.gz]; put {', '.join(wanted)} there (each may end in "
            ".gz), or name their folder with --set problem.dataset.folder=...; or let OpenML "
            f"provide the images, dataset = {{kind = 'openml', name = {other!r}, "
            f"version = {version}}}"
        )


class _Reading:
    """One file being read; whatever is wrong with it ends as one line."""

    def __init__(self, file: Path, key: str) -> None:
        self._file, self._key = file, key
        self._stream: IO[bytes]

    def __enter__(self) -> "_Reading":
        try:
            zipped = self._file.suffix == ".gz"
            self._stream = cast(IO[bytes], (gzip.open if zipped else open)(self._file, "rb"))
        except OSError as error:
            raise ScenarioError(f"{self._key}: can't be read ({error})") from None
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def sizes(self, magic: int) -> tuple[int, ...]:
        """The sizes in the header.

        Raises:
            ScenarioError: another magic number, no sample, or more bytes than can be.
        """
        found = int.from_bytes(self._take(4), "big")
        if found != magic:
            raise ScenarioError(
                f"{self._key}: begins with the number {found}, an IDX file of "
                f"{'images' if magic == 2051 else 'labels'} with {magic}; fetch the file again"
            )
        sizes = tuple(int.from_bytes(self._take(4), "big") for _ in range(_SIZES[magic]))
        if not 0 < prod(sizes) <= _MOST_BYTES:
            raise ScenarioError(
                f"{self._key}: announces {' x '.join(map(str, sizes))} bytes; must be between 1 "
                f"and {_MOST_BYTES:,}"
            )
        return sizes

    def rest(self, sizes: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """All that follows the header.

        Raises:
            ScenarioError: it is longer or shorter than announced.
        """
        found = np.frombuffer(self._take(prod(sizes)), np.uint8).reshape(sizes)
        if self._taken(1):  # reading to the end also makes gzip compare its checksum
            raise ScenarioError(
                f"{self._key}: goes on after the {prod(sizes):,} bytes that its header announces; "
                "fetch the file again"
            )
        return found

    def _take(self, count: int) -> bytes:
        taken = self._taken(count)
        if len(taken) < count:
            raise ScenarioError(
                f"{self._key}: ends too early, {count - len(taken):,} bytes are missing; fetch the "
                "file again"
            )
        return taken

    def _taken(self, count: int) -> bytes:
        try:
            return self._stream.read(count)
        except (OSError, EOFError, zlib.error) as error:
            raise ScenarioError(
                f"{self._key}: can't be read ({error}); fetch the file again"
            ) from None
