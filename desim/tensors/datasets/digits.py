"""Handwritten digits: 1,797 images of 8 x 8 pixels that come with scikit-learn.

Alpaydin, Kaynak 1998, 'Optical Recognition of Handwritten Digits' (UCI Machine Learning
Repository); these are its 1,797 test images.
"""

import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from desim.tensors.datasets.base import Data, Dataset, Shape

Digit = Annotated[int, Field(ge=0, le=9, strict=True)]


class Digits(Dataset):
    """Real 8 x 8 images of the ten digits, pixels scaled to [0, 1]; nothing is downloaded.

    Attributes:
        classes: the digits to keep, renumbered from 0 in this order; left out, all ten.
        test_fraction: the share of images kept for testing: every image whose number is a
            multiple of 1 / test_fraction, rounded.
    """

    kind: ClassVar[str] = "digits"

    classes: Annotated[tuple[Digit, ...], Field(min_length=2, strict=False)] = tuple(range(10))
    test_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.2

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes = {list(self.classes)}: must be different digits")
        return self

    def shape(self) -> Shape:
        """64 pixels; as many outputs as classes."""
        return Shape((64,), len(self.classes))

    def sample(self, count: int) -> npt.NDArray[Any]:
        """Zeros: they are floats."""
        return self.zeros(count)

    def load(self) -> Data:
        """The images in scikit-learn's order."""
        images, labels = _read()
        kept = np.isin(labels, self.classes)
        x, digits = images[kept] / 16.0, labels[kept]
        y = np.array([self.classes.index(int(digit)) for digit in digits], np.int64)
        test = np.arange(len(x)) % round(1 / self.test_fraction) == 0
        return Data(x[~test], y[~test], x[test], y[test])


def _read() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Pixels (1797, 64) and labels, from scikit-learn's file.

    To import scikit-learn takes longer than a small scenario; where its file isn't where it was in
    its versions 0.24 to 1.9, it is asked.
    """
    package = find_spec("sklearn")  # imports nothing
    for folder in (package and package.submodule_search_locations) or ():
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            with gzip.open(file, "rt", encoding="ascii") as lines:
                table = np.loadtxt(lines, delimiter=",")
            return table[:, :-1], table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images, labels.astype(np.int64)
