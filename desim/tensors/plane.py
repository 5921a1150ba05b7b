"""The tensor side of a worker: with real numbers, or without for a run of the clock alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from desim.errors import ScenarioError
from desim.schema.phrases import short
from desim.tensors.compressors._examined import examine
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.tensors.refs import Draw, Node, Plain, Ref
from desim.tensors.tape import Tape

if TYPE_CHECKING:
    from torch import Tensor


class Plane(Protocol):
    """The tensor side of a worker."""

    parameters: int

    def initial(self) -> Ref:
        """The model that all workers start from."""

    def gradient(self, model: Ref, worker: int, step: int, position: int, batch: int) -> Ref:
        """Mean gradient over a batch."""

    def zero(self) -> Ref:
        """A vector of zeros."""

    def compress(
        self, vector: Ref, compressor: Compressor, worker: int, step: int
    ) -> tuple[Ref, int]:
        """What arrives when a vector is sent compressed, and its size in bits."""

    def sum(self, weights: Sequence[float], refs: Sequence[Ref]) -> Ref:
        """sum_k weights[k] * refs[k]; one term where all are recorded."""

    def record(self, ref: Ref, worker: int) -> None:
        """Makes one operation of a worker's linear combination."""

    def map(self, function: Callable[..., Tensor], refs: Sequence[Ref], worker: int) -> Ref:
        """A row-wise function."""


class Tensors:
    """The tensor side with real numbers.

    Args:
        tape: where operations are recorded.
        initial: the model that all workers start from.
        layers: the sizes of its parameter tensors.
    """

    def __init__(self, tape: Tape, initial: Ref, layers: tuple[int, ...]) -> None:
        self._tape, self._initial, self.parameters = tape, initial, sum(layers)
        self._dtype = tape.kernels.store.data.dtype
        self._sized = Sized(layers)

    def initial(self) -> Ref:
        """The initial model."""
        return self._initial

    def gradient(self, model: Ref, worker: int, step: int, position: int, batch: int) -> Ref:
        """A recorded gradient."""
        return self._tape.gradient(model, worker, step, position, batch)

    def zero(self) -> Ref:
        """A ref without terms."""
        return Ref([])

    def compress(
        self, vector: Ref, compressor: Compressor, worker: int, step: int
    ) -> tuple[Ref, int]:
        """A recorded compression, or the vector itself where nothing is lost."""
        fitted, bits = self._sized(compressor)
        if type(fitted) is NoCompressor and fitted.exact_for(self._dtype):
            self._tape.record(vector, worker)
            return vector, bits
        draw = Draw("dither", worker, step)
        if fitted.sized_by_content:
            bits = self._tape.content_bits(fitted, vector, draw)
        return self._tape.map(fitted, [vector], draw), bits

    def sum(self, weights: Sequence[float], refs: Sequence[Ref]) -> Ref:
        """A linear combination."""
        nodes = [ref.node for ref in refs]
        if None not in nodes:
            return Ref([(1.0, cast(list[Node], nodes), weights)] if nodes else [])
        return Ref(
            [
                (weight * f, n, w)
                for weight, ref in zip(weights, refs, strict=True)
                for f, n, w in ref.terms
            ]
        )

    def record(self, ref: Ref, worker: int) -> None:
        """Makes one operation of a worker's linear combination."""
        self._tape.record(ref, worker)

    def map(self, function: Callable[..., Tensor], refs: Sequence[Ref], worker: int) -> Ref:
        """A recorded row-wise function."""
        return self._tape.map(Plain(function), refs, Draw("dither", worker, 0))


class Sized:
    """Compressors made for a model, and the sizes of their messages.

    Args:
        layers: the sizes of the model's parameter tensors.
    """

    def __init__(self, layers: tuple[int, ...]) -> None:
        self._layers, self._parameters = layers, sum(layers)
        self._known: dict[Compressor, tuple[Compressor, int]] = {}

    def __call__(self, compressor: Compressor) -> tuple[Compressor, int]:
        """The compressor to use, and the bits of a message, where they depend on nothing else."""
        known = self._known.get(compressor)
        if known is None:
            fitted = compressor.fitted(self._layers)
            if not isinstance(fitted, Compressor):
                raise ScenarioError(
                    f"compressor = {compressor.table()}: `fitted` gives {short(fitted)}; must be a "
                    "compressor"
                )
            examine(fitted, self._parameters)
            known = self._known[compressor] = fitted, fitted.sent_bits(self._parameters)
        return known


class _Zero(Ref):
    """Zero, whatever is done to it: there is nothing to add up in a run of the clock alone."""

    def _same(self, _other: object = None) -> Ref:
        return self

    __add__ = __sub__ = __mul__ = __rmul__ = __truediv__ = __neg__ = _same


class NoTensors:
    """The tensor side of a run that has only a clock: every ref is zero.

    Messages whose size depends on the numbers in them have the size that `size_bits` gives.

    Args:
        layers: the sizes of the model's parameter tensors.
    """

    def __init__(self, layers: tuple[int, ...]) -> None:
        self.parameters = sum(layers)
        self._zero, self._sized = _Zero([]), Sized(layers)

    def initial(self) -> Ref:
        """The zero that stands for all models."""
        return self._zero

    def gradient(self, model: Ref, worker: int, step: int, position: int, batch: int) -> Ref:
        """The same zero: nothing is differentiated."""
        return self._zero

    def zero(self) -> Ref:
        """The same zero."""
        return self._zero

    def compress(
        self, vector: Ref, compressor: Compressor, worker: int, step: int
    ) -> tuple[Ref, int]:
        """The same zero, and the message's size."""
        return self._zero, self._sized(compressor)[1]

    def sum(self, weights: Sequence[float], refs: Sequence[Ref]) -> Ref:
        """The same zero: nothing is added up."""
        return self._zero

    def record(self, ref: Ref, worker: int) -> None:
        """There is no tape to record on."""

    def map(self, function: Callable[..., Tensor], refs: Sequence[Ref], worker: int) -> Ref:
        """The same zero: no function is called."""
        return self._zero
