"""A point: with the quadratic data set and loss, a strongly convex problem with known optimum."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from desim.tensors.datasets.base import Shape
from desim.tensors.models.base import Model


class Point(nn.Module):
    """A point x; forward(theta) = sqrt(h) * (x - theta).

    Args:
        curvatures: h, shape (dimension,).
    """

    roots: Tensor

    def __init__(self, curvatures: Tensor) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.zeros_like(curvatures))
        self.register_buffer("roots", curvatures.sqrt())

    def forward(self, theta: Tensor) -> Tensor:
        """The scaled distance (batch, dimension) from each theta (batch, dimension)."""
        return self.roots * (self.x - theta)


class QuadraticModel(Model):
    """x itself, from 0; curvatures h from 1 / condition to 1, evenly spaced in the logarithm.

    Attributes:
        condition: the ratio of the largest to the smallest curvature.
    """

    kind: ClassVar[str] = "quadratic"
    default_loss: ClassVar[str] = "half-squared"

    condition: Annotated[float, Field(ge=1)] = 1.0

    def build(self, shape: Shape) -> nn.Module:
        """The point at the origin."""
        exponents = torch.linspace(-1, 0, shape.outputs, dtype=torch.float64)
        return Point(self.condition**exponents)
