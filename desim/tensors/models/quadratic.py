"""A point: with the quadratic data set and loss, a strongly convex problem with known optimum."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from desim.tensors.datasets.base import Shape
from desim.tensors.lazy import nn, torch
from desim.tensors.models.base import Model


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
        from desim.tensors.models._point import Point

        exponents = torch.linspace(-1, 0, shape.outputs, dtype=torch.float64)
        return Point(self.condition**exponents)

    def parameter_sizes(self, shape: Shape) -> tuple[int, ...]:
        """x."""
        return (shape.outputs,)
