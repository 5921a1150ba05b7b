"""Decentralized SGD (Lian et al. 2017, arXiv 1705.09056): everyone waits for the slowest.

    x_i <- x_i + epsilon (w_ii x_i + sum_j w_ij Q(x_j) - x_i) - alpha epsilon g_i

with g_i the mean gradient over a fixed batch at x_i. With epsilon = 1 and no compression this is
the usual x_i <- sum_j w_ij x_j - alpha g_i.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from desim.algorithms.synchronous import Synchronous
from desim.worker import Waiting, Worker


class DSGD(Synchronous):
    """Synchronous decentralized SGD with a fixed batch.

    Attributes:
        batch: samples per gradient.
    """

    kind: ClassVar[str] = "dsgd"
    horizon_only_in_step_size: ClassVar[bool] = True

    batch: Annotated[int, Field(ge=1)]

    def worker(self, me: Worker) -> Waiting:
        """Compute, send, wait for the neighbours, mix."""
        alpha, epsilon = self.step_size.at(me.horizon)
        x = me.initial_model()
        for t in me.rounds(catch_up=self.skips):
            computing = me.compute(x, self.batch)
            gradient, received = yield from self.exchange(me, t, x, computing)
            x = x + epsilon * ((yield from me.mix(x, received)) - x) - alpha * epsilon * gradient
            me.commit(x)
