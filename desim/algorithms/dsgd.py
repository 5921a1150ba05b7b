"""Decentralized SGD (Lian et al. 2017, arXiv 1705.09056): everyone waits for the slowest.

    x_i <- x_i + epsilon (w_ii x_i + sum_j w_ij Q(x_j) - x_i) - alpha epsilon g_i

with g_i the mean gradient over a fixed batch at x_i. With epsilon = 1 and no compression this is
the usual x_i <- sum_j w_ij x_j - alpha g_i.
"""

from itertools import count
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from desim.algorithms.base import Algorithm
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.worker import Waiting, Worker


class DSGD(Algorithm):
    """Synchronous decentralized SGD with a fixed batch.

    Attributes:
        batch: samples per gradient.
        compressor: what is done to the models that are sent.
        barrier: "global" (a round ends when all workers are done) or "neighbors" (each waits for
            its own neighbours only).
    """

    kind: ClassVar[str] = "dsgd"
    horizon_only_in_step_size: ClassVar[bool] = True

    batch: Annotated[int, Field(ge=1)]
    compressor: Compressor = NoCompressor()
    barrier: Literal["global", "neighbors"] = "global"

    def worker(self, me: Worker) -> Waiting:
        """Compute, send, wait for the neighbours, mix."""
        alpha, epsilon = self.step_size.at(me.horizon)
        x = me.initial_model()
        for t in count():
            gradient = yield from me.compute(x, self.batch)
            me.broadcast(me.compress(x, self.compressor), tag=t)
            received = yield from me.gather(tag=t)
            if self.barrier == "global":
                yield from me.barrier()
            x = x + epsilon * ((yield from me.mix(x, received)) - x) - alpha * epsilon * gradient
            me.commit(x)
