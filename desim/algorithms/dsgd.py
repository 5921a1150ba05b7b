"""Decentralized SGD (Lian et al. 2017, arXiv 1705.09056): everyone waits for the slowest.

    combine, then adapt:
        x_i <- x_i + epsilon (w_ii x_i + sum_j w_ij Q(x_j) - x_i) - alpha epsilon g_i
    adapt, then combine:
        y_i = x_i - alpha epsilon g_i
        x_i <- y_i + epsilon (w_ii y_i + sum_j w_ij Q(y_j) - y_i)

with g_i the mean gradient over a fixed batch at x_i. With epsilon = 1 and no compression these are
x_i <- sum_j w_ij x_j - alpha g_i, and x_i <- sum_j w_ij (x_j - alpha g_j), which adaptive networks
call diffusion (Sayed 2014, 'Adaptation, learning, and optimization over networks').
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from desim.algorithms.parts.consensus import Consensus
from desim.algorithms.parts.synchronous import Synchronous
from desim.worker.protocol import Waiting, Worker


class DSGD(Synchronous, Consensus):
    """Synchronous decentralized SGD with a fixed batch.

    Attributes:
        batch: samples per gradient.
        order: "combine-then-adapt" (the messages don't depend on the gradient: they can go out
            while it is computed) or "adapt-then-combine".
    """

    kind: ClassVar[str] = "dsgd"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5},
        {"batch": 5, "barrier": "neighbors", "overlap": True},
        {"batch": 5, "order": "adapt-then-combine"},
    )

    batch: Annotated[int, Field(ge=1)]
    order: Literal["combine-then-adapt", "adapt-then-combine"] = "combine-then-adapt"

    @model_validator(mode="after")
    def _can_overlap(self) -> Self:
        if self.overlap and self.order == "adapt-then-combine":
            raise ValueError(
                "overlap = true: what is sent needs the gradient; take order = "
                "'combine-then-adapt', or leave overlap out"
            )
        return self

    def worker(self, me: Worker) -> Waiting:
        """Compute, send, wait for the neighbours, mix."""
        x = me.initial_model()
        for t in me.rounds(catch_up=self.skips):
            if self.order == "combine-then-adapt":
                computing = me.compute(x, self.batch)
                gradient, received = yield from self.compute_and_exchange(me, t, x, computing)
                alpha, epsilon = me.step_size(), me.consensus_step()
                x = (
                    x
                    + epsilon * ((yield from me.mix(x, received)) - x)
                    - alpha * epsilon * gradient
                )
            else:
                gradient = yield from me.compute(x, self.batch)
                alpha, epsilon = me.step_size(), me.consensus_step()
                x = me.record(x - alpha * epsilon * gradient)
                message = yield from me.compress(x, self.compressor)
                received = yield from self.exchange(me, t, message, self.timeout_s)
                x = x + epsilon * ((yield from me.mix(x, received)) - x)
            me.commit(x)
