"""Gradients of many workers in one call: torch.func.vmap over each worker's own parameters."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from desim.errors import ModelError
from desim.tensors.refs import Gradient
from desim.tensors.samples import Sampler
from desim.tensors.store import Store

Parameters = dict[str, Tensor]

#: Per-sample losses from a module's outputs and the targets: (batch, ...), (batch, ...) -> (batch,).
PerSampleLoss = Callable[[Tensor, Tensor], Tensor]

#: A scalar added to the loss, from the parameters and the number of samples averaged.
Regulariser = Callable[[Parameters, Tensor], Tensor]

#: Workers with batches of different size are split into groups where that saves so many
#: floating-point operations of padding: about what the overhead of another call costs.
_SPLIT_SAVES = 1e8

#: One call takes at most so many parameters (64 MiB of float32), which bounds its temporaries.
_CALL_NUMBERS = 1 << 24


class Objective:
    """What a worker minimises: the weighted mean of per-sample losses plus a regulariser.

    Args:
        module: its forward takes (batch, ...) inputs; its parameters are the model.
        loss: per-sample losses.
        regulariser: added to the mean loss, or None.

    Attributes:
        shapes: the parameters' shapes by name, in the order in which they fill a row.
        parameters: their total number.
    """

    def __init__(
        self, module: nn.Module, loss: PerSampleLoss, regulariser: Regulariser | None
    ) -> None:
        self.module, self._loss, self.regulariser = module, loss, regulariser
        self.shapes = {name: p.shape for name, p in module.named_parameters()}
        self.parameters = sum(shape.numel() for shape in self.shapes.values())

    def __call__(
        self, parameters: Parameters, inputs: Tensor, targets: Tensor, weights: Tensor, batch: Tensor
    ) -> Tensor:
        """The objective of one worker.

        Args:
            parameters: one tensor per name.
            inputs, targets: (samples, ...).
            weights: (samples,), zero for padding.
            batch: scalar, the number of samples averaged.
        """
        losses = self._loss(self.outputs(parameters, inputs), targets)
        value = (losses * weights).sum()
        return value if self.regulariser is None else value + self.regulariser(parameters, batch)

    def outputs(self, parameters: Parameters, inputs: Tensor) -> Tensor:
        """The module's outputs at these parameters."""
        result: Tensor = functional_call(self.module, parameters, (inputs,))
        return result

    def unpack(self, rows: Tensor) -> Parameters:
        """Views of rows (..., parameters) as the module's parameters (..., *shape)."""
        parts = rows.split([shape.numel() for shape in self.shapes.values()], dim=-1)
        return {
            name: part.unflatten(-1, shape) if len(shape) != 1 else part
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def pack(self) -> Tensor:
        """The module's own parameters as one row."""
        return torch.cat([p.detach().reshape(-1) for p in self.module.parameters()])


class Gradients:
    """Evaluates ready gradients.

    Args:
        store: where the rows are.
        objective: what is differentiated.
        sampler: which samples a step uses.
        inputs, targets: the training data on the store's device.
    """

    def __init__(
        self, store: Store, objective: Objective, sampler: Sampler, inputs: Tensor, targets: Tensor
    ) -> None:
        self._store, self._objective, self._sampler = store, objective, sampler
        self._inputs, self._targets = inputs, targets
        self._gradient = vmap(grad(objective))
        self._scratch = torch.empty(0)

    def __call__(self, nodes: Sequence[Gradient]) -> None:
        """Gives every node its row."""
        work = 6.0 * self._objective.parameters  # operations per sample, forward and backward
        nodes = sorted(nodes, key=lambda node: node.batch)
        bounds = groups([node.batch for node in nodes], _SPLIT_SAVES / work)
        if len(bounds) == 1:  # undo the sorting: neighbouring rows are cheaper to read
            nodes = sorted(nodes, key=lambda node: node.serial)
        most = max(1, _CALL_NUMBERS // self._objective.parameters)
        for start, stop in bounds:
            for first in range(start, stop, most):
                self._call(nodes[first : min(first + most, stop)])

    def _call(self, nodes: Sequence[Gradient]) -> None:
        batches = np.array([node.batch for node in nodes])
        chosen, weights = self._sampler.batch(nodes, int(batches.max()))
        device, dtype = self._store.data.device, self._store.data.dtype
        index = torch.from_numpy(chosen).to(device)
        outputs = self._store.take(len(nodes))
        gradients = self._gradient(
            self._objective.unpack(self._models(np.array([node.inputs[0].row for node in nodes]))),
            self._inputs[index],
            self._targets[index],
            torch.from_numpy(weights).to(device, dtype),
            torch.from_numpy(batches).to(device, dtype),
        )
        target = self._store.index(outputs)
        if isinstance(target, slice):
            for name, part in self._objective.unpack(self._store.data[target]).items():
                part.copy_(gradients[name])
        else:
            flat = [gradients[name].flatten(1) for name in self._objective.shapes]
            self._store.data.index_copy_(0, target, torch.cat(flat, 1))
        for node, row in zip(nodes, outputs.tolist(), strict=True):
            node.row = row

    def _models(self, rows: npt.NDArray[np.int64]) -> Tensor:
        index = self._store.index(rows)
        if isinstance(index, slice):
            return self._store.data[index]
        size = len(rows) * self._objective.parameters
        if self._scratch.numel() < size:
            self._scratch = self._store.data.new_empty(size)
        buffer = self._scratch[:size].view(len(rows), -1)
        return torch.index_select(self._store.data, 0, index, out=buffer)


def groups(sizes: Sequence[int], worth: float) -> list[tuple[int, int]]:
    """Cuts ascending batch sizes where that saves at least `worth` samples of padding.

    Returns:
        (start, stop) of each group, in order.
    """
    saved = np.arange(1, len(sizes)) * (sizes[-1] - np.array(sizes[:-1]))
    if not saved.size or saved.max() < worth:
        return [(0, len(sizes))]
    cut = int(saved.argmax()) + 1
    rest = groups(sizes[cut:], worth)
    return [*groups(sizes[:cut], worth), *((a + cut, b + cut) for a, b in rest)]


def check(objective: Objective, inputs: Tensor, targets: Tensor) -> None:
    """Tries the gradient of two workers on two samples, with and without padding.

    Raises:
        ModelError: torch.func can't batch the module, or it mixes the samples of a batch; the
            layer is named.
    """
    entered: list[str] = []
    hooks = [
        module.register_forward_pre_hook(
            lambda module, _args, name=name: entered.append(f"{name} ({type(module).__name__})")
        )
        for name, module in objective.module.named_modules()
        if name and not list(module.children())
    ]
    for name, module in objective.module.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            raise ModelError(_refusal(f"{name} ({type(module).__name__})", "it mixes the samples of "
                                      "a batch and changes its own buffers"))
    row = objective.pack()
    parameters = objective.unpack(row.repeat(2, 1))
    double = torch.tensor([[0, 1], [1, 0]], device=inputs.device)
    padded = torch.cat([double, double], 1)
    half = torch.full((2, 2), 0.5, dtype=row.dtype, device=inputs.device)
    batch = torch.full((2,), 2.0, dtype=row.dtype, device=inputs.device)
    try:
        gradient = vmap(grad(objective))
        plain = gradient(parameters, inputs[double], targets[double], half, batch)
        weights = torch.cat([half, torch.zeros_like(half)], 1)
        with_padding = gradient(parameters, inputs[padded], targets[padded], weights, batch)
    except Exception as error:
        where = entered[-1] if entered else type(objective.module).__name__
        raise ModelError(_refusal(where, " ".join(str(error).split())[:200])) from None
    finally:
        for hook in hooks:
            hook.remove()
    for name in plain:
        if not torch.allclose(plain[name], with_padding[name], rtol=1e-3, atol=1e-5):
            raise ModelError(_refusal(type(objective.module).__name__, "the gradient of a sample "
                                      "depends on the other samples of the batch"))


def _refusal(where: str, why: str) -> str:
    return (
        f"problem.model: {where} can't be differentiated for many workers at once: {why}; "
        "use layers without state across samples (GroupNorm or LayerNorm for BatchNorm, no Dropout)"
    )
