"""The two ways to compute recorded operations: many at a time, and one by one."""

from collections.abc import Sequence

import torch
from torch import Tensor

from desim.streams import Streams
from desim.tensors.combinations import Combinations
from desim.tensors.compressors.base import Compressor, whole_bits
from desim.tensors.draws import Draws
from desim.tensors.gradients import Gradients
from desim.tensors.maps import Maps, Results, Uniforms, refuse_nonfinite
from desim.tensors.problem import Task
from desim.tensors.refs import Combination, Draw, Gradient, Map, Node
from desim.tensors.samples import Sampler
from desim.tensors.store import Store


def _content_bits(
    store: Store, uniforms: Uniforms, compressor: Compressor, node: Node, draw: Draw
) -> int:
    row = store.data[node.row]
    refuse_nonfinite(compressor, [row[None]], [draw])
    uniform = None
    if compressor.random:
        uniform = torch.empty_like(row)[None]
        uniforms.fill(uniform, uniforms.keys([draw]))
        uniform = uniform[0]
    return whole_bits(compressor, compressor.content_bits(row, uniform))


class BatchedKernels:
    """Computes all operations that are ready in few calls.

    Args:
        store: where the rows are.
        task: the problem.
        sampler: which samples a step uses.
        streams: the trial's random numbers.
    """

    def __init__(self, store: Store, task: Task, sampler: Sampler, streams: Streams) -> None:
        self.store = store
        self._combine = Combinations(store)
        self._uniforms = Uniforms(streams, store.data.dtype)
        self._map = Maps(store, self._uniforms)
        self._gradient = Gradients(
            store, task.objective, sampler, task.train_x, task.train_y, streams
        )

    def combinations(self, nodes: Sequence[Combination]) -> None:
        """One product of coefficients and rows."""
        self._combine(nodes)

    def maps(self, nodes: Sequence[Map]) -> None:
        """One call of the function."""
        self._map(nodes)

    def gradients(self, nodes: Sequence[Gradient]) -> None:
        """One vmapped gradient, or a few where batches differ much."""
        self._gradient(nodes)

    def content_bits(self, compressor: Compressor, node: Node, draw: Draw) -> int:
        """With the random numbers that its map will have."""
        return _content_bits(self.store, self._uniforms, compressor, node, draw)


class OneByOneKernels:
    """Computes each operation alone and plainly; slow, and the oracle of BatchedKernels.

    The arguments are those of BatchedKernels.
    """

    def __init__(self, store: Store, task: Task, sampler: Sampler, streams: Streams) -> None:
        self.store, self._task, self._sampler = store, task, sampler
        self._uniforms, self._results = Uniforms(streams, store.data.dtype), Results()
        self._streams = streams

    def combinations(self, nodes: Sequence[Combination]) -> None:
        """A sum over the sources."""
        for node in nodes:
            total = torch.zeros_like(self.store.data[0])
            for factor, source in zip(node.coefficients, node.inputs, strict=True):
                total += factor * self.store.data[source.row]
            self._set(node, total)

    def maps(self, nodes: Sequence[Map]) -> None:
        """The function of one row."""
        for node in nodes:
            inputs = [self.store.data[source.row][None] for source in node.inputs]
            refuse_nonfinite(node.function, inputs, [node.draw])
            uniform = torch.empty_like(inputs[0]) if node.function.random else None
            if uniform is not None:
                self._uniforms.fill(uniform, self._uniforms.keys([node.draw]))
            result = node.function(*inputs, uniform=uniform)
            self._results.check(node.function, inputs[0], result)
            self._set(node, result[0])

    def gradients(self, nodes: Sequence[Gradient]) -> None:
        """Reverse-mode differentiation of one worker's loss."""
        for node in nodes:
            chosen, _ = self._sampler.batch([node], node.batch)
            index = torch.from_numpy(chosen[0]).to(self.store.data.device)
            row = self.store.data[node.inputs[0].row].clone().requires_grad_()
            x, y = self._task.train_x[index], self._task.train_y[index]
            weights = torch.full_like(row[:1], 1.0 / node.batch).expand(node.batch)
            batch = torch.full_like(row[0].detach(), float(node.batch))
            objective = self._task.objective
            with Draws(self._streams, node.worker, node.step):
                value = objective(objective.unpack(row), x, y, weights, batch)
            self._set(node, torch.autograd.grad(value, row)[0])

    def content_bits(self, compressor: Compressor, node: Node, draw: Draw) -> int:
        """With the random numbers that its map will have."""
        return _content_bits(self.store, self._uniforms, compressor, node, draw)

    def _set(self, node: Combination | Map | Gradient, row: Tensor) -> None:
        [taken] = self.store.take(1)
        self.store.data[taken] = row.detach()
        node.row = taken


def kernels(
    task: Task,
    workers: int,
    streams: Streams,
    sampler: Sampler,
    device: torch.device,
    *,
    one_by_one: bool,
) -> BatchedKernels | OneByOneKernels:
    """The kernels for a task, with a store that holds a few rows per worker to begin with."""
    dtype = task.objective.pack().dtype
    store = Store(task.objective.parameters, 8 * workers + 8, dtype, device)
    kind = OneByOneKernels if one_by_one else BatchedKernels
    return kind(store, task, sampler, streams)
