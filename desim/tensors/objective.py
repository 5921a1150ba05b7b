"""What a worker minimises, as a function of a row of parameters."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from desim.errors import ModelError
from desim.tensors.losses.base import Loss

Parameters = dict[str, Tensor]

#: A scalar added to the loss, from the parameters and the number of samples averaged.
Regulariser = Callable[[Parameters, Tensor], Tensor]


class Objective:
    """The weighted mean of per-sample losses plus (l2 / 2) ||x||^2 plus a regulariser.

    Args:
        module: its forward takes (batch, ...) inputs; its parameters are the model.
        loss: per-sample losses.
        l2: the ridge's weight.
        regulariser: added to the mean loss, or None.

    Attributes:
        shapes: the parameters' shapes by name, in the order in which they fill a row.
        parameters: their total number.
    """

    def __init__(
        self, module: nn.Module, loss: Loss, l2: float, regulariser: Regulariser | None
    ) -> None:
        self.module, self.loss = module, loss
        self._l2, self._regulariser = l2, regulariser
        self.shapes = {name: p.shape for name, p in module.named_parameters()}
        self.parameters = sum(shape.numel() for shape in self.shapes.values())

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
        """The objective of one worker.

        Args:
            parameters: one tensor per name.
            inputs, targets: (samples, ...).
            weights: (samples,), zero for padding.
            batch: scalar, the number of samples averaged.
        """
        losses = self.loss(self.outputs(parameters, inputs), targets)
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
        """The module's outputs at these parameters."""
        result: Tensor = functional_call(self.module, parameters, (inputs,))
        return result

    def unpack(self, rows: Tensor) -> Parameters:
        """Views of rows (..., parameters) as the module's parameters (..., *shape)."""
        parts = torch.split(rows, [shape.numel() for shape in self.shapes.values()], dim=-1)
        return {
            name: torch.unflatten(part, -1, shape) if len(shape) != 1 else part
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def pack(self) -> Tensor:
        """The module's own parameters as one row."""
        return torch.cat([p.detach().reshape(-1) for p in self.module.parameters()])


_LOSS = "the loss"


def check(objective: Objective, inputs: Tensor, targets: Tensor) -> None:
    """Tries the gradient of two workers on two samples, with and without padding.

    Raises:
        ModelError: torch.func can't batch the module, or it mixes the samples of a batch; the
            layer is named.
    """
    layers = dict(objective.module.named_modules())
    for name, layer in layers.items():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            why = "it mixes the samples of a batch and changes its own buffers"
            raise ModelError(_refusal(_layer(name, layer), why))
    entered = ["before the model's first layer"]

    def enter(text: str) -> Callable[..., None]:
        return lambda *_: entered.append(text)

    hooks = [
        layer.register_forward_pre_hook(enter(_layer(name, layer)))
        for name, layer in layers.items()
    ]
    hooks.append(objective.module.register_forward_hook(enter(_LOSS)))
    row = objective.pack()
    parameters = objective.unpack(row.repeat(2, 1))
    pairs = torch.tensor([[0, 1], [1, 0]], device=inputs.device)
    # Padding that changes the mean and the neighbours of the samples.
    padded = torch.tensor([[0, 1, 0, 0], [1, 0, 1, 1]], device=inputs.device)
    half = torch.full((2, 2), 0.5, dtype=row.dtype, device=inputs.device)
    weights = torch.cat([half, torch.zeros_like(half)], 1)
    batch = torch.full((2,), 2.0, dtype=row.dtype, device=inputs.device)
    gradient = vmap(grad(objective))
    try:
        plain = gradient(parameters, inputs[pairs], targets[pairs], half, batch)
        with_padding = gradient(parameters, inputs[padded], targets[padded], weights, batch)
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise ModelError(_refusal(entered[-1], why)) from None
    finally:
        for hook in hooks:
            hook.remove()
    if not all(torch.allclose(plain[k], with_padding[k], rtol=1e-3, atol=1e-5) for k in plain):
        why = "the gradient of a sample depends on the other samples of the batch"
        raise ModelError(_refusal(_layer("", objective.module), why))


def _layer(name: str, layer: nn.Module) -> str:
    kind = type(layer).__name__
    return f"{name} ({kind})" if name else kind


def _refusal(where: str, why: str) -> str:
    if where == _LOSS:
        return f"problem.loss: doesn't fit the model's outputs and the targets: {why}"
    return (
        f"problem.model: {where} can't be differentiated for many workers at once: {why}; "
        "use layers without state across samples (GroupNorm or LayerNorm for BatchNorm, no Dropout)"
    )
