"""The tensor side of a worker: with real numbers, or without for a run of the clock alone."""

from collections.abc import Callable, Sequence
from typing import Protocol, cast

from torch import Tensor

from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.tensors.refs import Draw, Node, Plain, Ref
from desim.tensors.tape import Tape


class Plane(Protocol):
    """The tensor side of a worker."""

    parameters: int

    def initial(self) -> Ref:
        """The model that all workers start from."""

    def gradient(self, model: Ref, worker: int, step: int, position: int, batch: int) -> Ref:
        """Mean gradient over a batch."""

    def compress(self, model: Ref, compressor: Compressor, worker: int, step: int) -> Ref:
        """What arrives when the model is sent compressed."""

    def mix(
        self, own_weight: float, own: Ref, weights: list[float], neighbours: Sequence[Ref]
    ) -> Ref:
        """own_weight * own + sum_k weights[k] * neighbours[k]."""

    def record(self, ref: Ref, worker: int) -> None:
        """Makes one operation of a worker's linear combination."""

    def map(self, function: Callable[..., Tensor], refs: Sequence[Ref], worker: int) -> Ref:
        """A row-wise function."""


class Tensors:
    """The tensor side with real numbers.

    Args:
        tape: where operations are recorded.
        initial: the model that all workers start from.
        parameters: its size.
    """

    def __init__(self, tape: Tape, initial: Ref, parameters: int) -> None:
        self._tape, self._initial, self.parameters = tape, initial, parameters
        self._dtype = tape.kernels.store.data.dtype

    def initial(self) -> Ref:
        """The initial model."""
        return self._initial

    def gradient(self, model: Ref, worker: int, step: int, position: int, batch: int) -> Ref:
        """A recorded gradient."""
        return self._tape.gradient(model, worker, step, position, batch)

    def compress(self, model: Ref, compressor: Compressor, worker: int, step: int) -> Ref:
        """A recorded compression, or the model itself where nothing is lost."""
        if isinstance(compressor, NoCompressor) and compressor.exact_for(self._dtype):
            self._tape.record(model, worker)
            return model
        return self._tape.map(compressor, [model], Draw("dither", worker, step))

    def mix(
        self, own_weight: float, own: Ref, weights: list[float], neighbours: Sequence[Ref]
    ) -> Ref:
        """A linear combination; what has been sent is one recorded operation each."""
        nodes = cast(list[Node], [ref.node for ref in neighbours])
        return Ref([(own_weight * f, n, w) for f, n, w in own.terms] + [(1.0, nodes, weights)])

    def record(self, ref: Ref, worker: int) -> None:
        """Makes one operation of a worker's linear combination."""
        self._tape.record(ref, worker)

    def map(self, function: Callable[..., Tensor], refs: Sequence[Ref], worker: int) -> Ref:
        """A recorded row-wise function."""
        return self._tape.map(Plain(function), refs, Draw("dither", worker, 0))


class _Zero(Ref):
    """Zero, whatever is done to it: there is nothing to add up in a run of the clock alone."""

    def _same(self, _other: object = None) -> Ref:
        return self

    __add__ = __sub__ = __mul__ = __rmul__ = __truediv__ = __neg__ = _same


class NoTensors:
    """The tensor side of a run that has only a clock: every ref is zero.

    Args:
        parameters: the model's size.
    """

    def __init__(self, parameters: int) -> None:
        self.parameters = parameters
        self._zero = _Zero([])

    def initial(self) -> Ref:
        """Zero."""
        return self._zero

    def gradient(self, model: Ref, worker: int, step: int, position: int, batch: int) -> Ref:
        """Zero."""
        return self._zero

    def compress(self, model: Ref, compressor: Compressor, worker: int, step: int) -> Ref:
        """Zero."""
        return self._zero

    def mix(
        self, own_weight: float, own: Ref, weights: list[float], neighbours: Sequence[Ref]
    ) -> Ref:
        """Zero."""
        return self._zero

    def record(self, ref: Ref, worker: int) -> None:
        """Nothing to do."""

    def map(self, function: Callable[..., Tensor], refs: Sequence[Ref], worker: int) -> Ref:
        """Zero."""
        return self._zero
