"""Logistic regression: one linear output for two classes."""

from __future__ import annotations

from math import prod
from typing import ClassVar

from desim.errors import ScenarioError
from desim.tensors.datasets.base import Shape
from desim.tensors.lazy import nn
from desim.tensors.models.base import Model


class LogisticRegression(Model):
    """w'x + b for two classes, with the logistic loss; convex. Starts at zero."""

    kind: ClassVar[str] = "logistic"
    default_loss: ClassVar[str] = "logistic"

    def build(self, shape: Shape) -> nn.Module:
        """One linear layer with one output and zero weights.

        Raises:
            ScenarioError: the data has more than two classes.
        """
        self._check(shape)
        linear = nn.Linear(prod(shape.inputs), 1)
        for parameter in linear.parameters():
            nn.init.zeros_(parameter)
        return nn.Sequential(nn.Flatten(), linear, nn.Flatten(0))

    def parameter_sizes(self, shape: Shape) -> tuple[int, ...]:
        """w and b."""
        self._check(shape)
        return prod(shape.inputs), 1

    def _check(self, shape: Shape) -> None:
        if shape.outputs != 2:
            raise ScenarioError(
                f"problem.model = 'logistic': needs two classes, the data set has {shape.outputs}; "
                "choose two of them (dataset.classes = [3, 8]) or use softmax"
            )
