"""Gradients of plain chains of linear layers, by hand.

For an nn.Sequential of Linear layers and elementwise activations the chain rule is a few batched
matrix products. Written out they go straight into the store's rows, without the temporaries and the
dispatch of torch.func.vmap: 2 to 3 times as fast on the networks of this field. Every other module
goes through vmap, which gives the same gradients (a test compares the two).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from desim.tensors.objective import Objective, Parameters

#: For each activation: how to apply it in place, and how a derivative goes back through it, from
#: the activation's own output.
_ACTIVATIONS: dict[
    type[nn.Module], tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]
]
_ACTIVATIONS = {
    nn.Sigmoid: (torch.sigmoid_, torch.ops.aten.sigmoid_backward),
    nn.Tanh: (torch.tanh_, torch.ops.aten.tanh_backward),
    nn.ReLU: (torch.relu_, lambda delta, a: torch.ops.aten.threshold_backward(delta, a, 0)),
}

#: Products of at most so many numbers a worker are written elsewhere first and copied: torch's bmm
#: into rows that don't follow one another costs about 1 us a worker more.
_COPIED = 1 << 13


class ChainGradient:
    """The gradient of a chain of linear layers for many workers.

    Args:
        objective: its module must be a chain; see `is_chain`.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._layers = list(_layers(objective.module).items())
        self._first = next(name for name, layer in self._layers if isinstance(layer, nn.Linear))

    def __call__(
        self,
        models: Tensor,
        inputs: Tensor,
        targets: Tensor,
        weights: Tensor,
        batches: Tensor,
        out: Tensor,
    ) -> None:
        """Writes the gradients into out.

        Args:
            models: (workers, parameters).
            inputs, targets: (workers, samples, ...).
            weights: (workers, samples).
            batches: (workers,).
            out: (workers, parameters).
        """
        parameters, gradients = self._objective.unpack(models), self._objective.unpack(out)
        # Everything in between is (workers, features, samples): a product with the weights on the
        # left is faster than one with their transpose on the right.
        outputs, kept = self._forward(parameters, inputs.flatten(2).mT)
        # Per-sample losses don't care which worker a sample belongs to.
        delta = self._objective.loss.gradient(
            outputs.mT.flatten(0, 1), targets.flatten(0, 1), weights.flatten()
        )
        delta = delta.view_as(outputs.mT).mT
        for (name, layer), activation in zip(reversed(self._layers), reversed(kept), strict=True):
            if isinstance(layer, nn.Linear):
                _product(delta, activation.mT, gradients[f"{name}.weight"])
                if layer.bias is not None:
                    torch.sum(delta, 2, out=gradients[f"{name}.bias"])
                if name != self._first:
                    delta = torch.bmm(parameters[f"{name}.weight"].mT, delta)
            elif type(layer) in _ACTIVATIONS:
                delta = _ACTIVATIONS[type(layer)][1](delta, activation)
        self._objective.add_regulariser_gradient(parameters, batches, models, out)

    def _forward(self, parameters: Parameters, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The outputs, and for each layer its input if linear, its output if an activation."""
        kept = []
        for name, layer in self._layers:
            if isinstance(layer, nn.Linear):
                kept.append(x)
                x = torch.bmm(parameters[f"{name}.weight"], x)
                if layer.bias is not None:
                    x.add_(parameters[f"{name}.bias"][:, :, None])
            else:
                if type(layer) in _ACTIVATIONS:
                    x = _ACTIVATIONS[type(layer)][0](x)
                kept.append(x)
        return x, kept


def _product(a: Tensor, b: Tensor, out: Tensor) -> None:
    if out[0].numel() > _COPIED:
        torch.bmm(a, b, out=out)
    else:
        out.copy_(torch.bmm(a, b))


def is_chain(module: nn.Module, input_dimensions: int) -> bool:
    """Whether a module is an nn.Sequential of different Linear layers and known activations.

    An activation must follow a linear layer: it is applied in place.

    Args:
        module: the module.
        input_dimensions: of one sample; more than one must be flattened first.
    """
    if type(module) is not nn.Sequential:
        return False
    layers = list(_layers(module).values())
    linear = [layer for layer in layers if type(layer) is nn.Linear]
    if not linear or len(set(map(id, linear))) < len(linear):
        return False
    if any(layer._forward_hooks or layer._forward_pre_hooks for layer in (module, *layers)):
        return False
    flattens = type(layers[0]) is nn.Flatten and (layers[0].start_dim, layers[0].end_dim) == (1, -1)
    if flattens:
        layers = layers[1:]
    if input_dimensions > 1 and not flattens:
        return False
    before = [None, *layers[:-1]]
    return all(
        type(layer) is nn.Linear or (type(layer) in _ACTIVATIONS and type(previous) is nn.Linear)
        for layer, previous in zip(layers, before, strict=True)
    )


def _layers(module: nn.Module) -> dict[str, nn.Module]:
    """The layers by their names; unlike `children()` it keeps one that stands there twice."""
    return {name: layer for name, layer in module._modules.items() if layer is not None}
