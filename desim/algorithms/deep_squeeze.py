"""DeepSqueeze (Tang et al. 2019, arXiv 1907.07346): what compression left out is sent next time.

    y_i = x_i - alpha g_i
    v_i = y_i + delta_i,  delta_i <- v_i - C(v_i)
    x_i <- y_i + eta sum_j w_ij (C(v_j) - C(v_i))

with g_i the mean gradient over a fixed batch at x_i, delta_i = 0 at first, and eta the epsilon of
step_size. One's own model enters as it is, and in the average compressed as the neighbours see it,
so that the mean model is kept. No replicas are needed. The coarser C is, the smaller eta must be:
the error of C(v_i), unlike that of a difference, doesn't vanish as models settle.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.algorithms.parts.consensus import Consensus
from desim.algorithms.parts.rounds import Rounds
from desim.tensors.compressors.base import Compressor
from desim.worker.protocol import Waiting, Worker


class DeepSqueeze(Rounds, Consensus):
    """Synchronous decentralized SGD with error-compensated compression of models.

    Attributes:
        batch: samples per gradient.
        compressor: C, what is done to the models that are sent.
    """

    kind: ClassVar[str] = "deep-squeeze"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5, "compressor": {"kind": "none", "bits": 64}},
    )

    batch: Annotated[int, Field(ge=1)]
    compressor: Compressor

    def worker(self, me: Worker) -> Waiting:
        """Compute, send the model and what was left out before, wait, average."""
        x = me.initial_model()
        [left_out] = me.state(me.zero())
        for t in me.rounds():
            gradient = yield from me.compute(x, self.batch)
            y = me.record(x - me.step_size() * gradient)
            v = me.record(y + left_out)
            message = yield from me.compress(v, self.compressor)
            received = yield from self.exchange(me, t, message)
            left_out = v - message.content
            x = y + me.consensus_step() * (
                (yield from me.mix(message.content, received)) - message.content
            )
            me.commit(x, left_out)
