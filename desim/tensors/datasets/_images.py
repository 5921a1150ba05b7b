"""What all sets of images share: which classes, in colour or grey, of what size and form."""

import os
from abc import abstractmethod
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from desim.errors import ScenarioError
from desim.schema.phrases import short, suggest
from desim.tensors.datasets.base import Data, Dataset, Shape

Pixels = npt.NDArray[Any]
Labels = npt.NDArray[np.int64]
Count = Annotated[int, Field(ge=1, strict=True)]
ClassName = Annotated[int, Field(ge=0, strict=True)] | Annotated[str, Field(strict=True)]

#: The luma of ITU-R Recommendation BT.601 for red, green and blue.
LUMA = (0.299, 0.587, 0.114)

#: Images are converted so many at a time: no second copy of a whole set is ever in memory.
_AT_A_TIME = 512


class Header(NamedTuple):
    """What is known of a set without reading its images.

    Attributes:
        channels: 1 for grey, 3 for red, green, blue.
        height, width: of every image, in pixels.
        names: of the classes; the place of a name is its label.
    """

    channels: int
    height: int
    width: int
    names: tuple[str, ...]


class Part(NamedTuple):
    """Images and their labels.

    Attributes:
        x: (samples, channels, height, width), uint8 from 0 to 255 or floats from 0 to 1.
        y: a label for each, from 0.
    """

    x: Pixels
    y: npt.NDArray[np.integer[Any]]


class Images(NamedTuple):
    """A whole set as its files hold it; the test part may be empty."""

    header: Header
    train: Part
    test: Part


class ImageSet(Dataset):
    """Base of the sets of images: pixels are scaled to [0, 1], in float32.

    Attributes:
        classes: the classes to keep, by label or name, renumbered from 0 in this order; left out,
            all.
        greyscale: one channel, 0.299 red + 0.587 green + 0.114 blue.
        resize: height and width; each new pixel is the mean over the area that it covers.
        flatten: inputs are vectors, channel by channel and row by row; otherwise
            (channels, height, width).
        standardise: per channel, subtract the mean over all pixels of the training part and divide
            by their standard deviation; the test part is treated with the same numbers.
    """

    classes: Annotated[tuple[ClassName, ...], Field(min_length=2, strict=False)] | None = None
    greyscale: bool = False
    resize: Annotated[tuple[Count, Count], Field(strict=False)] | None = None
    flatten: bool = True
    standardise: bool = False

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if self.classes and len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes = {list(self.classes)}: must be different classes")
        return self

    @abstractmethod
    def where(self) -> str:
        """The key and value that name the files, for messages."""

    @abstractmethod
    def header(self) -> Header:
        """What is known of the set, without reading its images.

        Raises:
            ScenarioError: files are missing, or aren't what they should be.
        """

    @abstractmethod
    def read(self) -> Images:
        """The images as they are in the files.

        Raises:
            ScenarioError: files are missing, or aren't what they should be.
        """

    def shape(self) -> Shape:
        """From the files' headers."""
        header = self.header()
        channels, height, width = self._form(header)
        form = (channels * height * width,) if self.flatten else (channels, height, width)
        return Shape(form, len(self._kept(header)))

    def sample(self, count: int) -> npt.NDArray[Any]:
        """Zeros: they are floats."""
        return self.zeros(count)

    def load(self) -> Data:
        """The images in the order of their files.

        Raises:
            ScenarioError: the files are missing or broken, or hold none of a class.
        """
        header, *parts = self.read()
        kept = self._kept(header)
        data = [self._converted(part, header, kept) for part in parts]
        (train_x, train_y), (test_x, test_y) = data
        missing = np.flatnonzero(np.bincount(train_y, minlength=len(kept)) == 0)
        if len(missing) and (self.classes or not len(train_y)):
            name = header.names[kept[missing[0]]]
            raise ScenarioError(f"{self.where()}: has no training image of class {name!r}")
        if self.standardise:
            mean, deviation = _moments(train_x)
            for x in (train_x, test_x):
                x -= mean
                x /= deviation
        if self.flatten:
            train_x, test_x = (x.reshape(len(x), prod(x.shape[1:])) for x in (train_x, test_x))
        names = tuple(header.names[label] for label in kept)
        return Data(train_x, train_y, test_x, test_y, names)

    def _form(self, header: Header) -> tuple[int, int, int]:
        height, width = self.resize or header[1:3]
        return 1 if self.greyscale else header.channels, height, width

    def _kept(self, header: Header) -> list[int]:
        """The labels of the classes to keep."""
        if self.classes is None:
            return list(range(len(header.names)))
        labels = []
        for i, name in enumerate(self.classes):
            key = f"problem.dataset.classes.{i} = {short(name)}"
            if isinstance(name, str) and name not in header.names:
                raise ScenarioError(f"{key}: no such class; {suggest(name, list(header.names))}")
            label = header.names.index(name) if isinstance(name, str) else name
            if label >= len(header.names):
                raise ScenarioError(
                    f"{key}: no such class; the labels are 0 to {len(header.names) - 1}"
                )
            if label in labels:
                raise ScenarioError(f"{key}: this class stands there twice; name it once")
            labels.append(label)
        return labels

    def _converted(
        self, part: Part, header: Header, kept: list[int]
    ) -> tuple[npt.NDArray[np.float32], Labels]:
        """The images of the kept classes, and their new labels."""
        self._check(part, header)
        renumbered = np.full(len(header.names), -1, np.int64)
        renumbered[kept] = np.arange(len(kept))
        y = renumbered[part.y]
        rows = np.flatnonzero(y >= 0)
        x = np.empty((len(rows), *self._form(header)), np.float32)
        for some in _pieces(len(rows)):
            block = part.x[rows[some]]
            scale = 255 if block.dtype == np.uint8 else 1
            block = block.astype(np.float32) / np.float32(scale)
            if self.greyscale and header.channels == 3:
                red, green, blue = (np.float32(weight) for weight in LUMA)
                block = red * block[:, :1] + green * block[:, 1:2] + blue * block[:, 2:]
            if block.shape[2:] != x.shape[2:]:
                down, across = map(_areas, block.shape[2:], x.shape[2:])
                block = down @ block @ across.T
            x[some] = block
        return x, y[rows]

    def _check(self, part: Part, header: Header) -> None:
        if len(part.x) != len(part.y):
            raise ScenarioError(
                f"{self.where()}: holds {len(part.x):,} images and {len(part.y):,} labels; there "
                "must be as many of both"
            )
        wrong = part.y[(part.y < 0) | (part.y >= len(header.names))]
        if len(wrong):
            raise ScenarioError(
                f"{self.where()}: holds a label {wrong[0]}; labels must be from 0 to "
                f"{len(header.names) - 1}"
            )


def default_folder(name: str) -> Path:
    """Where a set is looked for if the scenario doesn't say: $DESIM_DATA, or the user's cache."""
    home = os.environ.get("DESIM_DATA")
    return Path(home) / name if home else Path.home() / ".cache" / "desim" / name


def held_out(samples: int, fraction: float) -> npt.NDArray[np.bool_]:
    """Which samples are for testing: each whose number is a multiple of 1 / fraction, rounded."""
    test: npt.NDArray[np.bool_] = np.arange(samples) % round(1 / fraction) == 0
    return test


def _pieces(length: int) -> Iterator[slice]:
    for start in range(0, length, _AT_A_TIME):
        yield slice(start, min(start + _AT_A_TIME, length))


def _areas(before: int, after: int) -> npt.NDArray[np.float32]:
    """(after, before): the share that each old pixel has in each new one, along one side."""
    edges = np.arange(after + 1) * (before / after)
    left, right = edges[:-1, None], edges[1:, None]
    pixels = np.arange(before)
    covered = np.minimum(right, pixels + 1) - np.maximum(left, pixels)
    shares: npt.NDArray[np.float64] = np.clip(covered, 0, None) * (after / before)
    return shares.astype(np.float32)


def _moments(x: npt.NDArray[np.float32]) -> tuple[Pixels, Pixels]:
    """Each channel's mean and standard deviation; 1 for a channel that is the same everywhere."""
    sums = np.zeros((2, x.shape[1]))
    for some in _pieces(len(x)):
        block = x[some].astype(np.float64)
        sums += [block.sum((0, 2, 3)), (block * block).sum((0, 2, 3))]
    mean, square = sums / (len(x) * x.shape[2] * x.shape[3])
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    # What is left of a constant channel is rounding.
    deviation[deviation < 1e-6] = 1.0
    form = (-1, 1, 1)
    return mean.reshape(form).astype(np.float32), deviation.reshape(form).astype(np.float32)
