"""Hop (Luo et al. 2019, arXiv 1902.01064): decentralized SGD for unequal speeds, by queues.

    x_i <- w_ii x_i + sum_j w_ij Q(x_j) - alpha g_i

Iteration k of a worker: send x_i under k; compute; take the neighbours' models in one of three
ways; step.
    standard: those under k, of all neighbours.
    backup workers: those under k that are there once all but `backup` of them are. Weights of the
        others go to the own model; their models under k are dropped when they come.
    bounded staleness s: the newest of each neighbour, of an iteration k_j >= k - s, with weights
        proportional to w_ij (k_j - (k - s) + 1), and w_ii (s + 1) for the own.
Tokens bound the gap: only who has seen each neighbour enter k - max_gap enters k. A worker that has
seen all of them enter a later iteration than its next leaves out up to max_skip iterations: it
averages as in the last of these, without a gradient, and goes on from there.

Unlike the paper, which averages uniformly over what it has taken, this uses W.
"""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from desim.algorithms.base import Algorithm
from desim.algorithms.parts.token_queues import TOKEN_BITS, TokenQueues
from desim.errors import ScenarioError
from desim.mixings.base import Weights
from desim.streams import Streams
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.tensors.refs import Ref
from desim.worker.protocol import Waiting, Worker


class Hop(Algorithm):
    """Decentralized SGD with backup workers, bounded staleness and skipped iterations.

    Attributes:
        batch: samples per gradient.
        backup: how many neighbours a worker doesn't wait for.
        staleness: s, how many iterations old a neighbour's model may be; left out, none.
        max_gap: how far a worker may be ahead of a neighbour; left out, there are no tokens.
        max_skip: the most iterations that a worker leaves out at once.
        compressor: Q, what is done to the models that are sent.
    """

    kind: ClassVar[str] = "hop"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5},
        {"batch": 5, "backup": 1, "max_gap": 3, "max_skip": 3},
        {"batch": 5, "staleness": 2, "max_gap": 4, "max_skip": 2},
    )

    batch: Annotated[int, Field(ge=1)]
    backup: Annotated[int, Field(ge=0)] = 0
    staleness: Annotated[int, Field(ge=0)] | None = None
    max_gap: Annotated[int, Field(ge=1)] | None = None
    max_skip: Annotated[int, Field(ge=0)] = 0
    compressor: Compressor = NoCompressor()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.backup and self.staleness is not None:
            raise ValueError(f"staleness = {self.staleness}: give it or backup, not both")
        if self.backup and self.max_gap is None:
            raise ValueError(f"backup = {self.backup}: needs max_gap, or gaps have no bound")
        if self.max_skip and (self.max_gap is None or not (self.backup or self.staleness)):
            raise ValueError(
                f"max_skip = {self.max_skip}: needs max_gap, and backup or staleness, without "
                "which nobody falls behind"
            )
        return self

    def prepare(self, weights: Weights, streams: Streams) -> TokenQueues:
        """The queues; refuses a directed graph, and workers with too few neighbours for backup."""
        if weights.graph.directed:
            raise ScenarioError(
                f"algorithms.{self.name}: tokens go against the models; take an undirected topology"
            )
        if self.backup >= (least := weights.graph.degrees.min()):
            raise ScenarioError(
                f"algorithms.{self.name}.backup = {self.backup}: must be less than every worker's "
                f"number of neighbours, which is {least} at least"
            )
        return TokenQueues(weights.graph)

    def worker(self, me: Worker) -> Waiting:
        """Enter an iteration, send, compute, take what is there, step."""
        queues: TokenQueues = me.common
        queues.open(me)
        x, iterations = me.initial_model(), me.rounds()
        for k in iterations:
            if self.max_gap is not None:
                yield from queues.enter(me, k, self.max_gap)
            queues.send(me, k, (yield from me.compress(x, self.compressor)))
            gradient = yield from me.compute(x, self.batch)
            x = (yield from self._average(me, k, x)) - me.step_size() * gradient
            me.commit(x)
            if (left_out := min(queues.reached(me) - k - 1, self.max_skip)) > 0:
                *_, last = (next(iterations) for _ in range(left_out))
                x = yield from self._average(me, last, x)
                me.update(x)

    def _average(self, me: Worker, k: int, x: Ref) -> Waiting:
        if self.staleness is None:
            return (yield from me.mix(x, (yield from me.common.same(me, k, self.backup))))
        oldest = k - self.staleness
        newest = yield from me.common.newest(me, max(0, oldest))
        weights = [me.own_weight * (self.staleness + 1)]
        weights += [w * (of - oldest + 1) for w, (of, _) in zip(me.weights, newest, strict=True)]
        refs = [x, *(model for _, model in newest)]
        return (yield from me.sum([w / sum(weights) for w in weights], refs))

    def message_bits(self, size: Callable[[Compressor], int], workers: int) -> tuple[int, ...]:
        """A model; a token, if there are any."""
        return size(self.compressor), *([TOKEN_BITS] if self.max_gap else [])
