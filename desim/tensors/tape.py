"""The tape: records what the algorithms ask for and evaluates it later, many workers at a time.

An operation is ready when its inputs have values. Cheap ones (maps and combinations) run as soon
as any are ready, all of a kind together; gradients run only when nothing else is ready, so that
they pile up: asynchronous workers are never at the same depth, yet most of them are ready at once.
"""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

from desim.tensors.compressors.base import Compressor
from desim.tensors.refs import Combination, Draw, Gradient, Map, Node, Ref, RowFunction
from desim.tensors.store import Store

if TYPE_CHECKING:
    from torch import Tensor


class Kernels(Protocol):
    """How ready operations are computed; each call gives every node its row."""

    store: Store

    def combinations(self, nodes: Sequence[Combination]) -> None:
        """All combinations that are ready."""

    def maps(self, nodes: Sequence[Map]) -> None:
        """Ready maps that share a function."""

    def gradients(self, nodes: Sequence[Gradient]) -> None:
        """All gradients that are ready."""

    def content_bits(self, compressor: Compressor, node: Node, draw: Draw) -> int:
        """The bits of one row's message."""


class Tape:
    """Records operations on rows of a store.

    Args:
        kernels: how operations are computed.
        limit: the tape is evaluated when so many gradients have been recorded.
        one_by_one: evaluate each operation alone as soon as it is recorded: the oracle that
            batched evaluation is tested against.
    """

    def __init__(self, kernels: Kernels, limit: int, *, one_by_one: bool = False) -> None:
        self.kernels = kernels
        self._limit, self._one_by_one = limit, one_by_one
        self._pending: list[weakref.ref[Node]] = []
        self._gradients = 0
        self._recorded = 0

    def constant(self, row: Tensor) -> Ref:
        """A ref to given numbers, shape (parameters,)."""
        node = Node(self._order(0), self.kernels.store, ())
        [node.row] = self.kernels.store.take(1)
        self.kernels.store.data[node.row] = row
        return Ref.of(node)

    def record(self, ref: Ref, worker: int) -> Node:
        """The one operation behind a worker's ref; a combination becomes one of its own."""
        if ref.node is not None:
            return ref.node
        nodes, coefficients = ref.flat()
        if coefficients == [1.0]:
            node = nodes[0]
        else:
            node = Combination(self._order(worker), self.kernels.store, nodes, coefficients)
            self._push(node)
        ref.node, ref.terms = node, [(1.0, (node,), (1.0,))]
        return node

    def gradient(self, model: Ref, worker: int, step: int, position: int, batch: int) -> Ref:
        """Mean gradient over `batch` samples of a worker; zero for an empty batch."""
        if batch == 0:
            return Ref([])
        source = self.record(model, worker)
        node = Gradient(
            self._order(worker), self.kernels.store, source, worker, step, position, batch
        )
        self._gradients += 1
        self._push(node)
        return Ref.of(node)

    def map(self, function: RowFunction, refs: Sequence[Ref], draw: Draw) -> Ref:
        """A row-wise function of refs, with random numbers named by `draw`."""
        sources = [self.record(ref, draw.worker) for ref in refs]
        node = Map(self._order(draw.worker), self.kernels.store, sources, function, draw)
        self._push(node)
        return Ref.of(node)

    def content_bits(self, compressor: Compressor, vector: Ref, draw: Draw) -> int:
        """The size of a message that depends on the numbers in it: evaluates the tape."""
        node = self.record(vector, draw.worker)
        self.flush()
        return self.kernels.content_bits(compressor, node, draw)

    def _order(self, worker: int) -> int:
        self._recorded += 1
        return (worker << 40) + self._recorded

    def _push(self, node: Node) -> None:
        if self._one_by_one:
            self._run([node])
            return
        self._pending.append(weakref.ref(node))
        if self._gradients >= self._limit:
            self.flush()

    def flush(self) -> None:
        """Evaluates everything recorded that somebody still holds.

        Rows are given back while it goes on: an evaluated operation forgets its inputs, and
        nothing here holds an operation longer than until it has been evaluated.
        """
        ready = self._plan()
        gradients: list[Node] = []
        while ready or gradients:
            gradients += [n for n in ready if isinstance(n, Gradient)]
            wave = [n for n in ready if not isinstance(n, Gradient)]
            if not wave:
                wave, gradients = gradients, []
            self._run(wave)
            ready = _made_ready(wave)

    def _plan(self) -> list[Node]:
        """Makes operations wait for what they need; returns those that are ready."""
        recorded = [node for reference in self._pending if (node := reference()) is not None]
        self._pending.clear()
        self._gradients = 0
        return [node for node in recorded if not _waits(node)]

    def _run(self, wave: list[Node]) -> None:
        """Evaluates ready nodes."""
        wave.sort(key=attrgetter("order"))
        combinations = [n for n in wave if isinstance(n, Combination)]
        gradients = [n for n in wave if isinstance(n, Gradient)]
        maps: defaultdict[object, list[Map]] = defaultdict(list)
        for n in wave:
            if isinstance(n, Map):
                maps[n.function].append(n)
        if combinations:
            self.kernels.combinations(combinations)
        for alike in maps.values():
            self.kernels.maps(alike)
        if gradients:
            self.kernels.gradients(gradients)
        for n in wave:
            n.inputs = ()


def _waits(node: Node) -> bool:
    """Whether an input has no value yet; the first such input is told."""
    for source in node.inputs:
        if source.row < 0:
            source.waiters.append(node)
            return True
    return False


def _made_ready(wave: list[Node]) -> list[Node]:
    """The operations whose last missing input was in `wave`; empties `wave`."""
    ready: list[Node] = []
    while wave:
        done = wave.pop()
        waiters, done.waiters = done.waiters, []
        ready += [node for node in waiters if not _waits(node)]
    return ready
