"""Multi-layer perceptron: fully connected layers with an activation between them."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from desim.tensors.datasets.base import Shape
from desim.tensors.lazy import nn
from desim.tensors.models.base import Model

Width = Annotated[int, Field(ge=1, strict=True)]
Range = Annotated[float, Field(gt=0)]


class MLP(Model):
    """inputs - hidden[0] - ... - hidden[-1] - outputs.

    Attributes:
        hidden: the sizes of the hidden layers.
        activation: "sigmoid", "tanh" or "relu".
        init_range: weights and biases start uniform on [-init_range, init_range]; a list gives
            each layer its own; left out, torch's default initialisation.
    """

    kind: ClassVar[str] = "mlp"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"hidden": [5]},
        {"hidden": [4, 3], "activation": "relu"},
        {"hidden": [4, 3], "init_range": [0.5, 0.5, 1.0]},
    )

    hidden: Annotated[tuple[Width, ...], Field(min_length=1, strict=False)]
    activation: Literal["sigmoid", "tanh", "relu"] = "sigmoid"
    init_range: Range | Annotated[tuple[Range, ...], Field(strict=False)] | None = None

    @model_validator(mode="after")
    def _one_range_a_layer(self) -> Self:
        layers = len(self.hidden) + 1
        if isinstance(self.init_range, tuple) and len(self.init_range) != layers:
            raise ValueError(
                f"init_range = {list(self.init_range)}: must have one number for each of the "
                f"{layers} layers, or be one number for all"
            )
        return self

    def build(self, shape: Shape) -> nn.Module:
        """Linear layers with the activation after each but the last."""
        activation = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}[self.activation]
        layers: list[nn.Module] = [nn.Flatten()] if len(shape.inputs) > 1 else []
        for inputs, outputs in pairwise((prod(shape.inputs), *self.hidden)):
            layers += [nn.Linear(inputs, outputs), activation()]
        layers.append(nn.Linear(self.hidden[-1], shape.outputs))
        if self.init_range is not None:
            linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
            given = self.init_range
            ranges = given if isinstance(given, tuple) else (given,) * len(linear)
            for layer, bound in zip(linear, ranges, strict=True):
                for parameter in layer.parameters():
                    nn.init.uniform_(parameter, -bound, bound)
        return nn.Sequential(*layers)

    def parameter_sizes(self, shape: Shape) -> tuple[int, ...]:
        """Weights and biases of each layer."""
        widths = pairwise((prod(shape.inputs), *self.hidden, shape.outputs))
        return tuple(size for before, after in widths for size in (before * after, after))
