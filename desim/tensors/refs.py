"""Refs and the operations behind them.

A ref is a handle to a model, message or gradient that may not have been computed yet. Arithmetic
on refs builds a linear combination; the tape records it as one operation when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from desim.streams import Purpose
from desim.tensors.store import Store

if TYPE_CHECKING:
    from torch import Tensor


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
        waiters: operations whose first input without a value is this one; used while the tape is
            evaluated.
    """

    __slots__ = ("__weakref__", "inputs", "order", "row", "store", "waiters")

    def __init__(self, order: int, store: Store, inputs: Sequence[Node]) -> None:
        self.order, self.store, self.inputs = order, store, inputs
        self.row = -1
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

    It is called with tensors (rows, parameters), one per input, and `uniform`: numbers in (0, 1) of
    the same shape that it may change, or None. It returns a tensor of that shape.
    """

    @property
    def random(self) -> bool:
        """Whether it uses `uniform`."""

    @property
    def refuses_nonfinite(self) -> bool:
        """Whether evaluation shall stop at a nan or an infinity among its arguments."""

    def __call__(self, *rows: Any, **uniform: Any) -> Tensor:
        """The function."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class Plain:
    """A row-wise function without random numbers; two of the same function are equal."""

    function: Callable[..., Tensor]
    random: ClassVar[bool] = False
    refuses_nonfinite: ClassVar[bool] = False

    def __call__(self, *rows: Tensor, uniform: Tensor | None) -> Tensor:
        """function(*rows)."""
        return self.function(*rows)


class Map(Node):
    """A row-wise function of its inputs."""

    __slots__ = ("draw", "function")

    def __init__(
        self,
        order: int,
        store: Store,
        inputs: Sequence[Node],
        function: RowFunction,
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


#: factor * sum of weights[k] * nodes[k].
Term = tuple[float, Sequence[Node], Sequence[float]]


class Ref:
    """A linear combination of recorded operations; supports + - * / with refs and numbers.

    Arithmetic touches the few terms only, never the many nodes of a neighbourhood's average: those
    are gone through once, when the combination is recorded.

    Attributes:
        terms: what is summed; a ref without terms is zero.
        node: the one operation behind a recorded ref, else None.
    """

    __slots__ = ("node", "terms")

    def __init__(self, terms: list[Term], node: Node | None = None) -> None:
        self.terms, self.node = terms, node

    @classmethod
    def of(cls, node: Node) -> Ref:
        """A recorded ref."""
        return cls([(1.0, (node,), (1.0,))], node)

    def flat(self) -> tuple[list[Node], list[float]]:
        """Operations and their coefficients; an operation that stands alone in terms comes once."""
        single: dict[Node, float] = {}
        many: list[Node] = []
        coefficients: list[float] = []
        for factor, nodes, weights in self.terms:
            if len(nodes) == 1:
                [node], [weight] = nodes, weights
                single[node] = single.get(node, 0.0) + factor * weight
            else:
                many += nodes
                coefficients += [factor * weight for weight in weights]
        return [*single, *many], [*single.values(), *coefficients]

    def __add__(self, other: Ref) -> Ref:
        return Ref(self.terms + other.terms)

    def __sub__(self, other: Ref) -> Ref:
        return Ref(self.terms + [(-f, nodes, weights) for f, nodes, weights in other.terms])

    def __mul__(self, factor: float) -> Ref:
        return Ref([(factor * f, nodes, weights) for f, nodes, weights in self.terms])

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Ref:
        return Ref([(f / divisor, nodes, weights) for f, nodes, weights in self.terms])

    def __neg__(self) -> Ref:
        return self * -1.0
