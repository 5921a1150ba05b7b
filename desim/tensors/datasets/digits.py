"""Handwritten digits: 1,797 images of 8 x 8 pixels that come with scikit-learn.

Alpaydin, Kaynak 1998, 'Optical Recognition of Handwritten Digits' (UCI Machine Learning
Repository); these are its 1,797 test images.
"""

from typing import Annotated, ClassVar, Self

import numpy as np
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

    def load(self) -> Data:
        """The images in scikit-learn's order."""
        from sklearn.datasets import load_digits  # slow to import, and not needed by the clock

        images, labels = load_digits(return_X_y=True)
        kept = np.isin(labels, self.classes)
        x, digits = images[kept] / 16.0, labels[kept]
        y = np.array([self.classes.index(int(digit)) for digit in digits], np.int64)
        test = np.arange(len(x)) % round(1 / self.test_fraction) == 0
        return Data(x[~test], y[~test], x[test], y[test])
