"""CHOCO-SGD (Koloskova, Stich, Jaggi 2019, arXiv 1902.00340): any compressor converges.

    x_i <- x_i - alpha g_i
    xhat_i <- xhat_i + C(x_i - xhat_i),  at the neighbours, too
    x_i <- x_i + gamma sum_j w_ij (xhat_j - xhat_i)

with g_i the mean gradient over a fixed batch at x_i, replicas xhat that begin with 0, and gamma the
epsilon of step_size: the paper's Algorithm 2. With no compression and gamma = 1 it is decentralized
SGD, adapt then combine. Their later version for deep learning (arXiv 1907.09356, and the code of
both) averages before it compresses, with the replicas of the round before: combine, then adapt.
That is not built. All replicas of a model are the same: so here messages as large as
C(x_i - xhat_i) carry the new xhat_i itself. A worker that a crash has reset (faults.model =
"reset") is taken to tell its neighbours so for free.

C must not be further off than zero is: E||C(x) - x||^2 <= (1 - delta) ||x||^2, delta > 0; of an
unbiased compressor with a larger error take the `contractive` form. gamma = 1 suits precise ones;
the theorem has gamma = rho^2 delta / (16 rho + rho^2 + 4 beta^2 + 2 rho beta^2 - 8 rho delta),
rho the spectral gap of W and beta = ||I - W||, and in practice it is tuned.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.algorithms.parts.consensus import Consensus
from desim.algorithms.parts.rounds import Rounds
from desim.tensors.compressors.base import Compressor
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker


class ChocoSGD(Rounds, Consensus):
    """Synchronous decentralized SGD that averages compressed replicas.

    Attributes:
        batch: samples per gradient.
        compressor: C, what is done to the differences that are sent.
    """

    kind: ClassVar[str] = "choco-sgd"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5, "compressor": {"kind": "low-precision", "levels": 15}},
    )

    batch: Annotated[int, Field(ge=1)]
    compressor: Compressor

    def worker(self, me: Worker) -> Waiting:
        """Compute, send what the neighbours' replica lacks, wait for theirs, average replicas."""
        x = me.initial_model()
        [replica] = me.state(me.zero())
        for t in me.rounds():
            gradient = yield from me.compute(x, self.batch)
            x = me.record(x - me.step_size() * gradient)
            lacking = yield from me.compress(x - replica, self.compressor)
            replica = me.record(replica + lacking.content)
            received = yield from self.exchange(me, t, Message(replica, lacking.size_bits))
            x = x + me.consensus_step() * ((yield from me.mix(replica, received)) - replica)
            me.commit(x, replica)
