"""Softmax regression: one linear layer and cross-entropy."""

from __future__ import annotations

from math import prod
from typing import ClassVar

from desim.tensors.datasets.base import Shape
from desim.tensors.lazy import nn
from desim.tensors.models.base import Model


class Softmax(Model):
    """Multinomial logistic regression; convex. Starts at zero."""

    kind: ClassVar[str] = "softmax"

    def build(self, shape: Shape) -> nn.Module:
        """One linear layer with zero weights."""
        linear = nn.Linear(prod(shape.inputs), shape.outputs)
        for parameter in linear.parameters():
            nn.init.zeros_(parameter)
        return nn.Sequential(nn.Flatten(), linear) if len(shape.inputs) > 1 else linear

    def parameter_sizes(self, shape: Shape) -> tuple[int, ...]:
        """Weights and biases."""
        return prod(shape.inputs) * shape.outputs, shape.outputs
