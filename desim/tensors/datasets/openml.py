"""Images from OpenML, fetched by name and version through scikit-learn and kept on disk.

Vanschoren, van Rijn, Bischl, Torgo 2013, 'OpenML: Networked Science in Machine Learning'.
scikit-learn renames a file into its cache when the download has ended and compares its MD5 with
OpenML's each time that it is read, so half a file is never taken for a whole one.
"""

import warnings
from math import isqrt, prod
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from desim.errors import ScenarioError
from desim.schema.own_code import reason
from desim.tensors.datasets._images import Count, Header, Images, ImageSet, Part, held_out


class OpenML(ImageSet):
    """Any set of 8-bit images at openml.org, such as mnist_784, Fashion-MNIST or CIFAR_10.

    Downloaded once; in a simulation without training too, as its shape is only known from it.

    Attributes:
        name: what the set is called there.
        version: of the set; fixed, so that a scenario always means the same data.
        image: channels, height and width where the features aren't a square of one channel, or of
            three one after the other.
        test_fraction: the share of images kept for testing: every image whose number is a multiple
            of 1 / test_fraction, rounded.
        cache: the folder for downloads; left out, scikit-learn's. A relative path is meant from the
            scenario's folder.
    """

    kind: ClassVar[str] = "openml"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"name": "mnist_784"},)

    name: Annotated[str, Field(min_length=1)]
    version: Count = 1
    image: Annotated[tuple[Count, Count, Count], Field(strict=False)] | None = None
    test_fraction: Annotated[float, Field(gt=0, le=0.5)] = 0.2
    cache: str | None = None

    def where(self) -> str:
        """The name and the version."""
        return f"problem.dataset.name = {self.name!r}, version {self.version}"

    def content_paths(self) -> dict[str, tuple[Path, ...]]:
        """None: name and version mean the same data wherever they are kept."""
        return {}

    def header(self) -> Header:
        """The features' number and the names of the classes; loads the set."""
        return self.read().header

    def read(self) -> Images:
        """The images in OpenML's order, a share of them held out."""
        features, targets = self._fetched()
        form = self._image(features.shape[1])
        names = sorted({str(target) for target in targets}, key=_by_number)
        labels = {name: label for label, name in enumerate(names)}
        y = np.array([labels[str(target)] for target in targets], np.int64)
        x = features.reshape(-1, *form)
        held = held_out(len(y), self.test_fraction)
        parts = (Part(x[rows], y[rows]) for rows in (~held, held))
        return Images(Header(*form, tuple(names)), *parts)

    def _fetched(self) -> tuple[Any, Any]:
        """(samples, features) of uint8, and the targets."""
        from sklearn.datasets import fetch_openml  # slow to import

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of each attempt; the last one's error is told
                features, targets = fetch_openml(
                    self.name,
                    version=self.version,
                    data_home=self.cache,
                    return_X_y=True,
                    as_frame=False,
                )
        except Exception as error:  # of the network, of OpenML, or of a broken file
            raise ScenarioError(
                f"{self.where()}: can't be had from OpenML ({reason(error)}); needs the network "
                "once, then the cache is enough"
            ) from None
        if not isinstance(features, np.ndarray) or features.ndim != 2 or targets is None:
            raise ScenarioError(f"{self.where()}: is no table of images and their classes")
        whole = features.dtype.kind in "uif" and len(features)
        if not whole or not ((features >= 0) & (features <= 255) & (features % 1 == 0)).all():
            raise ScenarioError(
                f"{self.where()}: is no set of 8-bit images; its features must be whole numbers "
                "from 0 to 255"
            )
        return features.astype(np.uint8), targets

    def _image(self, features: int) -> tuple[int, int, int]:
        for channels in (1, 3):
            side = isqrt(features // channels)
            if self.image is None and channels * side**2 == features:
                return channels, side, side
        if self.image is None or prod(self.image) != features or self.image[0] not in (1, 3):
            raise ScenarioError(
                f"problem.dataset.image = {self.image}: must be the channels (1 or 3), height and "
                f"width of an image of {features} numbers"
            )
        return self.image


def _by_number(name: str) -> tuple[bool, int, str]:
    """Numbers by size, then words by letter."""
    return (False, int(name), "") if name.isdecimal() else (True, 0, name)
