"""Gradients of plain chains of linear layers, by hand.

For an nn.Sequential of Linear layers and elementwise activations the chain rule is a few batched
matrix products. Written out they go straight into the store's rows, without the temporaries and the
dispatch of torch.func.vmap: 2 to 3 times as fast on the networks of this field. Every other module
goes through vmap, which gives the same gradients (a test compares the two).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from desim.tensors.modules import hooked, trained
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
        module = objective.module
        self._layers = list(_layers(module).items())
        self._frozen = {
            name: p.detach() for name, p in module.named_parameters() if not p.requires_grad
        }
        # Nothing goes back beyond the first layer that has something to train.
        self._first = next(i for i, (_, layer) in enumerate(self._layers) if trained(layer))

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
        values = parameters | self._frozen if self._frozen else parameters
        outputs, kept = self._forward(values, inputs.flatten(2).mT)
        # Per-sample losses don't care which worker a sample belongs to.
        delta = self._objective.loss.gradient(
            outputs.mT.flatten(0, 1), targets.flatten(0, 1), weights.flatten()
        )
        delta = delta.view_as(outputs.mT).mT
        for i in range(len(self._layers) - 1, self._first - 1, -1):
            (name, layer), activation = self._layers[i], kept[i]
            if isinstance(layer, nn.Linear):
                weight, bias = f"{name}.weight", f"{name}.bias"
                if weight in gradients:
                    _product(delta, activation.mT, gradients[weight])
                if bias in gradients:
                    torch.sum(delta, 2, out=gradients[bias])
                if i != self._first:
                    delta = torch.matmul(values[weight].mT, delta)
            elif type(layer) in _ACTIVATIONS:
                delta = _ACTIVATIONS[type(layer)][1](delta, activation)
        self._objective.add_regulariser_gradient(parameters, batches, models, out)

    def _forward(self, parameters: Parameters, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The outputs, and for each layer its input if linear, its output if an activation.

        A trained parameter has a value for each worker, (workers, ...), a frozen one has one.
        """
        kept = []
        for name, layer in self._layers:
            if isinstance(layer, nn.Linear):
                kept.append(x)
                x = torch.matmul(parameters[f"{name}.weight"], x)
                if layer.bias is not None:
                    x.add_(parameters[f"{name}.bias"][..., None])
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

    Layers may be frozen, as a whole or in part, but share no parameter. An activation must follow a
    linear layer: it is applied in place.

    Args:
        module: the module.
        input_dimensions: of one sample; more than one must be flattened first.
    """
    if type(module) is not nn.Sequential:
        return False
    layers = list(_layers(module).values())
    linear = [layer for layer in layers if type(layer) is nn.Linear]
    own = [p for layer in linear for p in layer.parameters()]
    if not linear or len(set(map(id, own))) < len(own):
        return False
    if any(map(hooked, (module, *layers))):
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
