"""A small convolutional network in the manner of LeNet-5 (LeCun et al. 1998)."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.tensors.datasets.base import Shape
from desim.tensors.lazy import nn
from desim.tensors.models._images import image_shape
from desim.tensors.models.base import Model

Width = Annotated[int, Field(ge=1, strict=True)]


class Convolutional(Model):
    """For each number of channels a 3 x 3 convolution, ReLU and 2 x 2 mean pooling; then linear.

    Attributes:
        channels: of each convolution; each halves height and width.
        hidden: the size of a hidden layer before the outputs; left out, there is none.
    """

    kind: ClassVar[str] = "convolutional"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"channels": [4], "hidden": 6})

    channels: Annotated[tuple[Width, ...], Field(min_length=1, strict=False)] = (8, 16)
    hidden: Width | None = None

    def build(self, shape: Shape) -> nn.Module:
        """The network for images (channels, height, width).

        Raises:
            ScenarioError: the inputs are no images, or too small for so many poolings.
        """
        depth = len(self.channels)
        first, height, width = image_shape(self.kind, shape, 2**depth)
        layers: list[nn.Module] = []
        for before, after in pairwise((first, *self.channels)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2)]
        features = self.channels[-1] * (height >> depth) * (width >> depth)
        layers.append(nn.Flatten())
        if self.hidden is not None:
            layers += [nn.Linear(features, self.hidden), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(self.hidden or features, shape.outputs))
