"""What a worker minimises, as a function of a row of parameters."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from desim.tensors.losses.base import Loss
from desim.tensors.modules import trained

Parameters = dict[str, Tensor]

#: A scalar added to the loss, from the parameters and the number of samples averaged.
Regulariser = Callable[[Parameters, Tensor], Tensor]


class Objective:
    """The weighted mean of per-sample losses plus (l2 / 2) ||x||^2 plus a regulariser.

    x are the trained parameters. Frozen ones and buffers stay in the module, one for all workers.

    Args:
        module: its forward takes (batch, ...) inputs; its trained parameters are the model.
        loss: per-sample losses.
        l2: the ridge's weight.
        regulariser: added to the mean loss, or None.

    Attributes:
        shapes: the trained parameters' shapes by name, in the order in which they fill a row.
        parameters: their total number.
        draws: whether its gradient draws random numbers (dropout); see `desim.tensors.draws`.
    """

    def __init__(
        self, module: nn.Module, loss: Loss, l2: float, regulariser: Regulariser | None
    ) -> None:
        self.module, self.loss = module, loss
        self._l2, self._regulariser = l2, regulariser
        self.shapes = {name: p.shape for name, p in trained(module).items()}
        self.parameters = sum(shape.numel() for shape in self.shapes.values())
        self.draws = False
        # The further names of parameters that stand in several layers. torch's own tie_weights
        # leaves the swapped tensors behind in a layer that a module has twice.
        names = {id(p): name for name, p in trained(module).items()}
        places = [
            (f"{layer_name}.{own}".removeprefix("."), p)
            for layer_name, layer in module.named_modules()
            for own, p in layer.named_parameters(recurse=False, remove_duplicate=False)
        ]
        self._tied = [
            (place, names[id(p)]) for place, p in places if id(p) in names and names[id(p)] != place
        ]
        self._training = [layer for layer in module.modules() if layer.training]

    @property
    def layers(self) -> tuple[int, ...]:
        """How many numbers each parameter tensor has, in the order of a row."""
        return tuple(shape.numel() for shape in self.shapes.values())

    def __call__(
        self,
        parameters: Parameters,
        inputs: Tensor,
        targets: Tensor,
        weights: Tensor,
        batch: Tensor,
    ) -> Tensor:
        """The objective of one worker, with the module in the state in which it was handed over.

        Args:
            parameters: one tensor per name.
            inputs, targets: (samples, ...).
            weights: (samples,), zero for padding.
            batch: scalar, the number of samples averaged.
        """
        losses = self.loss(self.run(parameters, inputs), targets)
        return (losses * weights).sum() + self.regulariser(parameters, batch)

    def regulariser(self, parameters: Parameters, batch: Tensor) -> Tensor:
        """What is added to the mean loss over `batch` samples, a scalar."""
        value = torch.zeros_like(batch)
        if self._l2:
            squares = torch.stack([p.square().sum() for p in parameters.values()])
            value = value + 0.5 * self._l2 * squares.sum()
        return value if self._regulariser is None else value + self._regulariser(parameters, batch)

    def add_regulariser_gradient(
        self, parameters: Parameters, batches: Tensor, models: Tensor, out: Tensor
    ) -> None:
        """Adds the regulariser's gradient at each of the models (workers, parameters) to out."""
        if self._l2:
            out.add_(models, alpha=self._l2)
        if self._regulariser is not None:
            gradients = vmap(grad(self._regulariser))(parameters, batches)
            for name, part in self.unpack(out).items():
                part.add_(gradients[name])

    def outputs(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        """The module's outputs at these parameters when it isn't trained: without dropout."""
        for layer in self._training:
            layer.training = False
        try:
            return self.run(parameters, inputs)
        finally:
            for layer in self._training:
                layer.training = True

    def run(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        """The module's outputs at these parameters, in the state in which it was handed over."""
        placed = parameters | {place: parameters[name] for place, name in self._tied}
        result: Tensor = functional_call(self.module, placed, (inputs,), tie_weights=False)
        return result

    def double(self) -> "Objective":
        """The same in float64."""
        module = copy.deepcopy(self.module).double()
        return Objective(module, self.loss, self._l2, self._regulariser)

    def unpack(self, rows: Tensor) -> Parameters:
        """Views of rows (..., parameters) as the module's parameters (..., *shape)."""
        parts = torch.split(rows, [shape.numel() for shape in self.shapes.values()], dim=-1)
        return {
            name: _shaped(part, shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def pack(self) -> Tensor:
        """The module's own trained parameters as one row."""
        return torch.cat([p.detach().reshape(-1) for p in trained(self.module).values()])


def _shaped(part: Tensor, shape: torch.Size) -> Tensor:
    if len(shape) == 1:
        return part
    return torch.unflatten(part, -1, shape) if shape else part.squeeze(-1)
