"""Refs and the operations behind them.

A ref is a handle to a model, message or gradient that may not have been computed yet. Arithmetic
on refs builds a linear combination; the tape records it as one operation when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from torch import Tensor

from desim.streams import Purpose
from desim.tensors.store import Store


class Node:
    """One recorded operation and, once it has been evaluated, the row of its result.

    The row is given back when nobody holds the node any more; an operation that nobody holds
    before it was evaluated is never computed.

    Attributes:
        order: sorts operations by worker, and for each by the order of recording; evaluation
            follows it, so that results don't depend on what happened to be ready together, and
            the rows of one batch lie in the order of the workers.
        row: the row of the store, or -1.
        inputs: the operations that it reads; emptied once it has been evaluated.
        missing: how many inputs have no value yet; used while the tape is evaluated.
        waiters: the operations that wait for this one's value; likewise.
    """

    __slots__ = ("__weakref__", "inputs", "missing", "order", "row", "store", "waiters")

    def __init__(self, order: int, store: Store, inputs: Sequence[Node]) -> None:
        self.order, self.store, self.inputs = order, store, inputs
        self.row = -1
        self.missing = 0
        self.waiters: list[Node] = []

    def __del__(self) -> None:
        if self.row >= 0:
            self.store.release(self.row)


class Combination(Node):
    """A linear combination: sum of coefficients[k] * inputs[k]."""

    __slots__ = ("coefficients",)

    def __init__(
        self, order: int, store: Store, inputs: Sequence[Node], coefficients: Sequence[float]
    ) -> None:
        super().__init__(order, store, inputs)
        self.coefficients = coefficients


class Draw(NamedTuple):
    """Names the random numbers of one map operation."""

    purpose: Purpose
    worker: int
    step: int


class RowFunction(Protocol):
    """A function of rows; equal functions are evaluated in one call.

    Attributes:
        random: whether it uses `uniform`.
    """

    random: bool

    def __call__(self, *rows: Tensor, uniform: Tensor | None) -> Tensor:
        """(rows, parameters) each; uniform in (0, 1), same shape, scratch that may be changed."""

    def __hash__(self) -> int: ...


class Map(Node):
    """A row-wise function of its inputs."""

    __slots__ = ("draw", "function")

    def __init__(
        self,
        order: int,
        store: Store,
        inputs: Sequence[Node],
        function: RowFunction | Callable[..., Tensor],
        draw: Draw,
    ) -> None:
        super().__init__(order, store, inputs)
        self.function, self.draw = function, draw


class Gradient(Node):
    """The gradient of a worker's loss at inputs[0], averaged over a batch of its own samples.

    Attributes:
        worker, step: name the random draw of the samples.
        position: how many samples the worker has used before.
        batch: number of samples, positive.
    """

    __slots__ = ("batch", "position", "step", "worker")

    def __init__(
        self,
        order: int,
        store: Store,
        model: Node,
        worker: int,
        step: int,
        position: int,
        batch: int,
    ) -> None:
        super().__init__(order, store, (model,))
        self.worker, self.step, self.position, self.batch = worker, step, position, batch


class Ref:
    """A linear combination of recorded operations; supports + - * / with refs and numbers.

    Attributes:
        nodes, coefficients: the terms. A recorded ref has one node with coefficient 1; a ref
            without terms is zero.
    """

    __slots__ = ("coefficients", "nodes")

    def __init__(self, nodes: list[Node], coefficients: list[float]) -> None:
        self.nodes, self.coefficients = nodes, coefficients

    def __add__(self, other: Ref) -> Ref:
        return Ref(self.nodes + other.nodes, self.coefficients + other.coefficients)

    def __sub__(self, other: Ref) -> Ref:
        return Ref(self.nodes + other.nodes, self.coefficients + [-c for c in other.coefficients])

    def __mul__(self, factor: float) -> Ref:
        return Ref(self.nodes, [factor * c for c in self.coefficients])

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Ref:
        return Ref(self.nodes, [c / divisor for c in self.coefficients])

    def __neg__(self) -> Ref:
        return self * -1.0
