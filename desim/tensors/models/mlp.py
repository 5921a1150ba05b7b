"""Multi-layer perceptron: fully connected layers with an activation between them."""

from itertools import pairwise
from math import prod
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import nn

from desim.tensors.datasets.base import Shape
from desim.tensors.models.base import Model

_ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}

Width = Annotated[int, Field(ge=1, strict=True)]


class MLP(Model):
    """inputs - hidden[0] - ... - hidden[-1] - outputs, with torch's default initialisation.

    Attributes:
        hidden: the sizes of the hidden layers.
        activation: "sigmoid", "tanh" or "relu".
    """

    kind: ClassVar[str] = "mlp"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"hidden": [5]},
        {"hidden": [4, 3], "activation": "relu"},
    )

    hidden: Annotated[tuple[Width, ...], Field(min_length=1, strict=False)]
    activation: Literal["sigmoid", "tanh", "relu"] = "sigmoid"

    def build(self, shape: Shape) -> nn.Module:
        """Linear layers with the activation after each but the last."""
        layers: list[nn.Module] = [nn.Flatten()] if len(shape.inputs) > 1 else []
        for inputs, outputs in pairwise((prod(shape.inputs), *self.hidden)):
            layers += [nn.Linear(inputs, outputs), _ACTIVATIONS[self.activation]()]
        return nn.Sequential(*layers, nn.Linear(self.hidden[-1], shape.outputs))
