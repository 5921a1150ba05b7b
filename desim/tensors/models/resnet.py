"""A small residual network (He et al. 2016, arXiv 1512.03385) with group normalisation.

The CIFAR form of the paper's section 4.2: a 3 x 3 convolution, three stages of `blocks` residual
blocks with `channels`, 2 and 4 times as many channels, the second and third at half the resolution,
global mean pooling and a linear layer: 6 blocks + 2 layers (ResNet-20: blocks = 3).
GroupNorm (Wu, He 2018, arXiv 1803.08494) stands for BatchNorm, whose running statistics have no
meaning when models are averaged and whose gradient mixes the samples of a batch.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from desim.tensors.datasets.base import Shape
from desim.tensors.lazy import nn
from desim.tensors.models._images import image_shape
from desim.tensors.models.base import Model


class ResNet(Model):
    """Residual network for small images, with GroupNorm.

    Attributes:
        blocks: residual blocks in each of the three stages; there are 6 blocks + 2 layers.
        channels: of the first stage, a multiple of `groups`.
        groups: of each normalisation.
    """

    kind: ClassVar[str] = "resnet"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"channels": 4, "groups": 2},)

    blocks: Annotated[int, Field(ge=1)] = 1
    channels: Annotated[int, Field(ge=1)] = 16
    groups: Annotated[int, Field(ge=1)] = 4

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.channels % self.groups:
            raise ValueError(
                f"channels = {self.channels}: must be a multiple of groups = {self.groups}"
            )
        return self

    def build(self, shape: Shape) -> nn.Module:
        """The network for images (channels, height, width).

        Raises:
            ScenarioError: the inputs are no images of at least 4 x 4 pixels.
        """
        from desim.tensors.models._residual import Residual

        before, _, _ = image_shape(self.kind, shape, 4)
        layers: list[nn.Module] = [
            nn.Conv2d(before, self.channels, 3, padding=1, bias=False),
            nn.GroupNorm(self.groups, self.channels),
            nn.ReLU(),
        ]
        width = self.channels
        for stage in range(3):
            for block in range(self.blocks):
                stride = 2 if stage and not block else 1
                layers.append(Residual(width, self.channels << stage, stride, self.groups))
                width = self.channels << stage
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, shape.outputs)]
        return nn.Sequential(*layers)
