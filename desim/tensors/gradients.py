"""Gradients of many workers in one call.

torch.func.vmap over each worker's own parameters serves every module; plain chains of linear layers
have a faster way.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from math import prod

import numpy as np
import torch
from torch import Tensor
from torch.func import grad, vmap

from desim.streams import Streams
from desim.tensors.draws import Draws
from desim.tensors.layers import ChainGradient, is_chain
from desim.tensors.objective import Objective
from desim.tensors.refs import Gradient
from desim.tensors.samples import Indices, Sampler
from desim.tensors.store import Rows, Store

#: Workers with batches of different size are split into groups where that saves so many
#: floating-point operations of padding, some 4 ms. Splitting costs 2.5 ms for 50 workers of 39,760
#: parameters, since the rows of a group don't follow one another: with batches between 4 and 36 a
#: round took 17 ms with and 16 ms without.
_SPLIT_SAVES = 3e8

#: One call takes at most so many parameters (64 MiB of float32), which bounds its temporaries.
_CALL_NUMBERS = 1 << 24


class Gradients:
    """Evaluates ready gradients.

    Args:
        store: where the rows are.
        objective: what is differentiated.
        sampler: which samples a step uses.
        inputs, targets: the training data on the store's device.
        streams: the trial's random numbers, for modules that draw.
    """

    def __init__(
        self,
        store: Store,
        objective: Objective,
        sampler: Sampler,
        inputs: Tensor,
        targets: Tensor,
        streams: Streams,
    ) -> None:
        self._store, self._objective, self._sampler = store, objective, sampler
        self._inputs, self._targets, self._streams = inputs, targets, streams
        self._gradient = vmap(
            grad(objective), randomness="different" if objective.draws else "error"
        )
        self._chain = (
            ChainGradient(objective) if is_chain(objective.module, inputs.ndim - 1) else None
        )
        self._kept: dict[str, Tensor] = {}

    def __call__(self, nodes: Sequence[Gradient]) -> None:
        """Gives every node its row."""
        work = 6.0 * self._objective.parameters  # operations per sample, forward and backward
        bounds = groups(sorted(node.batch for node in nodes), _SPLIT_SAVES / work)
        if len(bounds) > 1:  # else in their own order: neighbouring rows are cheaper to read
            nodes = sorted(nodes, key=lambda node: node.batch)
        most = max(1, _CALL_NUMBERS // self._objective.parameters)
        for start, stop in bounds:
            for first in range(start, stop, most):
                self._call(nodes[first : min(first + most, stop)])

    def _call(self, nodes: Sequence[Gradient]) -> None:
        batches = np.array([node.batch for node in nodes])
        chosen, weights = self._sampler.batch(nodes, int(batches.max()))
        outputs = self._store.take(len(nodes))
        data = self._store.data  # taking rows may have moved it
        arguments = (
            self._samples(chosen),
            self._targets[torch.from_numpy(chosen).to(data.device)],
            torch.from_numpy(weights).to(data.device, data.dtype),
            torch.from_numpy(batches).to(data.device, data.dtype),
        )
        models = self._models([node.inputs[0].row for node in nodes])
        target = self._store.index(outputs)
        out = data[target] if isinstance(target, slice) else torch.empty_like(models)
        if self._chain is not None:
            self._chain(models, *arguments, out)
        else:
            with self._drawing(nodes):
                gradients = self._gradient(self._objective.unpack(models), *arguments)
            for name, part in self._objective.unpack(out).items():
                part.copy_(gradients[name])
        if not isinstance(target, slice):
            data.index_copy_(0, target, out)
        for node, row in zip(nodes, outputs, strict=True):
            node.row = row

    def _drawing(self, nodes: Sequence[Gradient]) -> AbstractContextManager[object]:
        """In which the draws of a module are those of the nodes' workers and steps."""
        if not self._objective.draws:
            return nullcontext()
        named = np.array([(node.worker, node.step) for node in nodes])
        return Draws(self._streams, named[:, 0], named[:, 1])

    def _samples(self, chosen: Indices) -> Tensor:
        """The inputs of these samples, (workers, samples, ...)."""
        shape = (*chosen.shape, *self._inputs.shape[1:])
        index = torch.from_numpy(chosen.reshape(-1)).to(self._inputs.device)
        out = self._buffer("samples", shape, self._inputs)
        torch.index_select(self._inputs, 0, index, out=out.flatten(0, 1))
        return out

    def _models(self, rows: Rows) -> Tensor:
        index = self._store.index(rows)
        data = self._store.data
        if isinstance(index, slice):
            return data[index]
        out = self._buffer("models", (len(rows), data.shape[1]), data)
        return torch.index_select(data, 0, index, out=out)

    def _buffer(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Kept memory: fresh buffers cost a page fault per 4 KiB."""
        size = prod(shape)
        if name not in self._kept or self._kept[name].numel() < size:
            self._kept[name] = like.new_empty(size)
        return self._kept[name][:size].view(shape)


def groups(sizes: Sequence[int], worth: float) -> list[tuple[int, int]]:
    """Cuts ascending batch sizes where that saves at least `worth` samples of padding.

    Returns:
        (start, stop) of each group, in order.
    """
    if len(sizes) * (sizes[-1] - sizes[0]) < worth:  # the usual case, and no cut can save more
        return [(0, len(sizes))]
    saved = np.arange(1, len(sizes)) * (sizes[-1] - np.array(sizes[:-1]))
    if saved.max() < worth:
        return [(0, len(sizes))]
    cut = int(saved.argmax()) + 1
    rest = groups(sizes[cut:], worth)
    return [*groups(sizes[:cut], worth), *((a + cut, b + cut) for a, b in rest)]
