"""Images from a NumPy archive (.npz), such as `numpy.savez` writes.

Arrays in it that would need a pickle are refused: loading them may run code.
"""

import zipfile
import zlib
from lzma import LZMAError
from math import prod
from typing import IO, Any, ClassVar

import numpy as np
import numpy.typing as npt

from desim.errors import ScenarioError
from desim.schema.paths import regular
from desim.schema.phrases import one_line, short
from desim.tensors.datasets._images import Header, Images, ImageSet, Part


class NPZ(ImageSet):
    """Images of one's own: x_train, y_train and, if there is a test part, x_test, y_test.

    x_train and x_test are (samples, height, width) or (samples, 1 or 3, height, width), either
    uint8 or floats from 0 to 1; y_train and y_test are whole numbers from 0, one per sample. There
    are as many classes as the greatest label of y_train says.

    Attributes:
        file: the archive; a relative path is meant from the scenario's folder, or from the working
            folder for a scenario built in code.
    """

    kind: ClassVar[str] = "npz"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"file": "images.npz"},)

    file: str

    def where(self) -> str:
        """The file."""
        return f"problem.dataset.file = {self.file!r}"

    def header(self) -> Header:
        """The header of x_train, and the labels y_train: the images aren't read."""
        with _Archive(self.file, self.where()) as archive:
            return _header(archive)

    def read(self) -> Images:
        """The two or four arrays."""
        with _Archive(self.file, self.where()) as archive:
            header = _header(archive)
            train = Part(archive.images("x_train"), archive.labels("y_train"))
            if not archive.holds("x_test") and not archive.holds("y_test"):
                return Images(header, train, Part(train.x[:0], train.y[:0]))
            test = Part(archive.images("x_test"), archive.labels("y_test"))
        if test.x.shape[1:] != train.x.shape[1:]:
            raise ScenarioError(
                f"{self.where()}: x_train and x_test must hold images of one form, and hold "
                f"{train.x.shape[1:]} and {test.x.shape[1:]}"
            )
        return Images(header, train, test)


class _Archive:
    """An open archive; whatever is wrong with it ends as one line."""

    def __init__(self, file: str, key: str) -> None:
        self.key = key
        try:
            self._zip = zipfile.ZipFile(regular(file))
        except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
            raise ScenarioError(f"{key}: can't be read ({error}); must be an .npz") from None

    def __enter__(self) -> "_Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def holds(self, name: str) -> bool:
        return f"{name}.npy" in self._zip.namelist()

    def form(self, name: str) -> tuple[int, int, int, int]:
        """Samples, channels, height and width, from the header alone."""
        shape, dtype = self._read(name, whole=False)
        full = (shape[0], 1, *shape[1:]) if len(shape) == 3 else shape
        if len(full) != 4 or full[1] not in (1, 3) or not prod(full[1:]):
            raise ScenarioError(
                f"{self.key}: {name} has the shape {short(shape)}; must be (samples, height, "
                "width), or (samples, channels, height, width) with 1 or 3 channels"
            )
        if dtype != np.uint8 and dtype.kind != "f":
            raise ScenarioError(
                f"{self.key}: {name} is of {str(dtype)[:60]}; must be uint8, or floats from 0 to 1"
            )
        return full

    def images(self, name: str) -> npt.NDArray[Any]:
        """(samples, channels, height, width)."""
        form = self.form(name)
        x: npt.NDArray[Any] = self._read(name, whole=True)
        if x.dtype != np.uint8 and not (x.min(initial=0) >= 0 and x.max(initial=0) <= 1):
            raise ScenarioError(f"{self.key}: {name} must be uint8, or floats from 0 to 1")
        return x.reshape(form)

    def labels(self, name: str) -> npt.NDArray[np.int64]:
        """(samples,)."""
        shape, dtype = self._read(name, whole=False)
        if len(shape) != 1 or dtype.kind not in "ui":
            raise ScenarioError(
                f"{self.key}: {name} has the shape {short(shape)} and is of {str(dtype)[:60]}; "
                "must be whole numbers in one row, a label per sample"
            )
        labels: npt.NDArray[Any] = self._read(name, whole=True)
        return labels.astype(np.int64)

    def _read(self, name: str, *, whole: bool) -> Any:
        """An array, or its shape and type."""
        if not self.holds(name):
            raise ScenarioError(
                f"{self.key}: has no {name}; must hold x_train and y_train, and x_test and y_test "
                f"if there is a test part; it holds {short(self._zip.namelist())}"
            )
        try:
            with self._zip.open(f"{name}.npy") as stream:
                return self._array(name, stream) if whole else _array_header(stream)
        except (
            OSError,
            EOFError,
            ValueError,
            RuntimeError,  # an encrypted member, an unknown way of compressing
            MemoryError,
            zipfile.BadZipFile,
            zlib.error,
            LZMAError,
        ) as error:
            raise ScenarioError(f"{self.key}: {name} can't be read ({one_line(error)})") from None

    def _array(self, name: str, stream: IO[bytes]) -> npt.NDArray[Any]:
        array: npt.NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
        if stream.read(1):
            raise ValueError("it goes on after the array")
        return array


def _header(archive: _Archive) -> Header:
    samples, channels, height, width = archive.form("x_train")
    labels = archive.labels("y_train")
    greatest = int(labels.max(initial=-1))
    if len(labels) != samples or not samples:
        raise ScenarioError(
            f"{archive.key}: x_train has {samples:,} images and y_train {len(labels):,} labels; "
            "there must be as many of both, and at least one"
        )
    if labels.min() < 0 or greatest >= max(samples, 2):
        raise ScenarioError(
            f"{archive.key}: y_train has labels from {labels.min()} to {greatest}; must be from 0 "
            f"to less than the number of images, {samples:,}"
        )
    return Header(channels, height, width, tuple(str(label) for label in range(greatest + 1)))


def _array_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    else:
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not loaded")
    return shape, dtype
