"""Anytime Minibatch (Ferdinand, Al-Lawati, Draper, Nokleby 2019, arXiv 2006.05752).

Everyone computes until the deadline T_d. In step t = 1, 2, ... worker i gets through b_i samples,
with the mean gradient g_i at its model w_i; z_i = 0 at the beginning. Then come r rounds of
consensus on a vector and a number, and dual averaging:

    m_i = n b_i (z_i + g_i),    s_i = n b_i
    r times:   m_i <- sum_j w_ij m_j,    s_i <- sum_j w_ij s_j
    z_i <- m_i / s_i,   or stays if s_i = 0 (nobody within r links got a sample in)
    w_i <- w_i(1) - z_i / beta(t + 1),    beta(t) = K + sqrt(t / mu),    K = 1 / alpha

The last line is the minimum of <w, z_i> + beta(t + 1) h(w) with h(w) = ||w - w_i(1)||^2 / 2. The
paper divides m_i by the number of samples of all workers; s_i is what a worker can know of it, the
same for r large, and makes z_i a weighted mean of the z_j + g_j whatever r is. The paper's rounds
of consensus get a fixed time, here they take as long as their messages. With beta constant this is
w_i <- sum_j p_ij (w_j - alpha g_j), where p_ij weighs workers by their samples. Compressed, as the
paper doesn't have it, m is averaged as m_i + sum_j w_ij (Q(m_j) - Q(m_i)).
"""

from collections.abc import Callable
from math import sqrt
from typing import Annotated, Any, ClassVar, Self, cast

from pydantic import Field, model_validator

from desim.algorithms.parts.deadline import Deadline
from desim.algorithms.parts.rounds import Rounds
from desim.errors import ScenarioError
from desim.mixings.base import Weights
from desim.step_sizes._schedule import Lasting
from desim.streams import Streams
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker


class AnytimeMinibatch(Deadline, Rounds):
    """Deadline-based dual averaging, in which all samples weigh the same.

    Attributes:
        consensus_rounds: r.
        mu: in samples; left out, beta is constant.
        compressor: Q, what is done to the vectors that are sent.
    """

    kind: ClassVar[str] = "anytime-minibatch"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"expected_batch": 20.0, "consensus_rounds": 1},
        {"expected_batch": 20.0, "consensus_rounds": 3, "barrier": "neighbors"},
    )

    consensus_rounds: Annotated[int, Field(ge=1)]
    mu: Annotated[float, Field(gt=0)] | None = None
    compressor: Compressor = NoCompressor()

    @model_validator(mode="after")
    def _steps_are_constant(self) -> Self:
        if isinstance(self.step_size, Lasting):
            raise ValueError(
                f"step_size = {self.step_size.table()}: changes during a run; must be constant, "
                "since the newest alpha weighs the gradients of all rounds"
            )
        return self

    def messages_per_round(self, workers: int) -> tuple[int, int]:
        """To at least one neighbour in each round of consensus."""
        return self.consensus_rounds * workers, workers

    def message_bits(self, size: Callable[[Compressor], int], workers: int) -> tuple[int, ...]:
        """A vector and a number of 32 bits."""
        return (size(self.compressor) + 32,)

    def prepare(self, weights: Weights, streams: Streams) -> None:
        """Raises ScenarioError for a W with negative entries: counts could become negative."""
        if (own := float(weights.own.min())) < 0:
            raise ScenarioError(
                f"algorithms.{self.name}: W has an entry w_ii = {own:.4g}; must be at least 0, "
                "since counts of samples are averaged; take another mixing"
            )

    def worker(self, me: Worker) -> Waiting:
        """Compute until the deadline, average sums of gradients and counts, step."""
        deadline_s, rounds = self.deadline(me.fleet), self.consensus_rounds
        w = me.initial_model()
        first, z = me.state(w, me.zero())
        for t in me.rounds():
            gradient, batch = yield from me.compute_until(w, deadline_s, self.max_batch)
            count = float(me.workers * batch)
            total = me.record(count * (z + gradient))
            for tag in range(t * rounds, (t + 1) * rounds):
                message = yield from me.compress(total, self.compressor)
                me.broadcast(Message.of(message, count), tag)
                received = yield from me.gather(tag)
                total = me.record(
                    (yield from self.keeping_mean(me, total, message.content, received.part(0)))
                )
                counts = cast(list[float], received.part(1).messages)
                count *= me.own_weight
                count += sum(w * c for w, c in zip(me.weights, counts, strict=True))
            yield from self.meet(me)
            z = me.record(total / count) if count else z
            # Steps are counted from 1.
            beta = 1 / me.step_size() + (sqrt((t + 2) / self.mu) if self.mu else 0.0)
            w = first - z / beta
            me.commit(w, first, z)
