"""SwarmSGD (Nadiradze et al. 2021, arXiv 1910.12308): local steps, then averages of random pairs.

Blocking: worker i takes H local steps x_i <- x_i - alpha g_i, and so does its partner j; then
    x_i, x_j <- (x_i + x_j) / 2
Non-blocking: the partner isn't waited for. Beside its own steps each has a published copy p:
    y_i = p_i;  H times y_i <- y_i - alpha g(y_i);  d_i = y_i minus the p_i that it began with
    p_i <- (p_i + p_j) / 2 + d_i       p_j <- (p_i + p_j) / 2       (p_i, p_j: before this)
and i goes on from y_i = p_i, while j's own steps go on from where they are and come to its copy
when it is done with them. The model that is evaluated is p_i + d_i, as if i were done now: the mean
over all workers changes by local steps only.

The partner is a random neighbour; H is the same every time or geometric. In the non-blocking form
i waits for question and answer to travel, and pairs that share a worker are one after the other
(see `line`). In the blocking form a coordinator draws them (see `groups`). Instead of quantization
by lattices any compressor Q may be used: c + (Q(c') - Q(c)) / 2 takes the place of (c + c') / 2.
"""

from itertools import count
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from desim.algorithms.base import Algorithm
from desim.algorithms.parts.exchanges import Exchange, Exchanges
from desim.algorithms.parts.groups import Pairs
from desim.algorithms.parts.line import Line
from desim.algorithms.parts.mailboxes import Mailboxes
from desim.mixings.base import Weights
from desim.streams import Streams
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.worker.protocol import Waiting, Worker


class SwarmSGD(Algorithm):
    """Local steps and averages of random pairs.

    Attributes:
        batch: samples per gradient.
        local_steps: H, or its mean.
        steps_law: "fixed" or "geometric".
        blocking: whether a pair waits until both are done with their local steps.
        overlap: if not blocking: ask before the last local step instead of after it.
        compressor: Q, what is done to the models that are sent.
    """

    kind: ClassVar[str] = "swarm-sgd"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5},
        {"batch": 5, "steps_law": "geometric", "overlap": True},
        {"batch": 5, "blocking": True},
    )

    batch: Annotated[int, Field(ge=1)]
    local_steps: Annotated[int, Field(ge=1)] = 2
    steps_law: Literal["fixed", "geometric"] = "fixed"
    blocking: bool = False
    overlap: bool = False
    compressor: Compressor = NoCompressor()

    @model_validator(mode="after")
    def _can_overlap(self) -> Self:
        if self.overlap and self.blocking:
            raise ValueError("overlap = true: a blocking average needs the last step; leave it out")
        return self

    def prepare(self, weights: Weights, streams: Streams) -> tuple[Exchanges, Mailboxes, Pairs]:
        """What the two forms need; refuses a directed graph."""
        exchanges = Exchanges(self.name, weights, Line())
        return exchanges, Mailboxes(weights.graph.workers), Pairs(weights, streams)

    def worker(self, me: Worker) -> Waiting:
        """Local steps, then an average with a neighbour."""
        yield from (self._blocking if self.blocking else self._non_blocking)(me)

    def _blocking(self, me: Worker) -> Waiting:
        _, mailboxes, pairs = me.common
        mailboxes.open(me)
        x = me.initial_model()
        for _ in count():
            gradient = yield from me.compute(x, self.batch)
            x = x - me.step_size() * gradient
            if self._is_last(me):
                number, pair = pairs.next(me.id)
                own = yield from me.compress(x, self.compressor)
                mailboxes.send(me, sum(pair) - me.id, number, "model", own)
                theirs = yield from mailboxes.wait(me, number, "model")
                change = yield from me.sum([0.5, -0.5], [theirs, own.content])
                x = x + change
                pairs.end(me.id)
            me.commit(x)

    def _non_blocking(self, me: Worker) -> Waiting:
        exchanges, *_ = me.common
        y, d = me.state(me.initial_model(), me.zero())
        pair = Exchange(me, exchanges, self.compressor, lambda: me.model - d)
        for _ in count():
            number, last = me.steps, self._is_last(me)
            if last and self.overlap:
                yield from pair.ask(me.neighbours, number)
            gradient = yield from me.compute(y, self.batch)
            step = me.step_size() * gradient
            if last:
                if not self.overlap:
                    yield from pair.ask(me.neighbours, number)
                yield from pair.done(number)
                y, d = me.model - step, me.zero()
                me.commit(y, y, d)
            else:
                y, d = y - step, d - step
                me.commit(me.model - step, y, d)

    def _is_last(self, me: Worker) -> bool:
        """Whether an average comes after this local step."""
        if self.steps_law == "fixed":
            return (me.steps + 1) % self.local_steps == 0
        return me.draw(2 * me.steps) * self.local_steps < 1
