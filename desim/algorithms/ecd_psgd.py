"""ECD-PSGD (Tang et al. 2018, arXiv 1803.06443): what is compressed is an extrapolation.

    y_i = sum_j w_ij xtilde_j - alpha g_i
    z_i = (1 - t/2) x_i + (t/2) y_i
    xtilde_i <- (1 - 2/t) xtilde_i + (2/t) C(z_i),  x_i <- y_i

with j over the neighbours and i itself, whose own estimate counts, too, g_i the mean gradient over
a fixed batch at x_i, and t = 1, 2, ...: the paper's Algorithm 2.

Since (1 - 2/t) x_i + (2/t) z_i = y_i whatever t is, the estimate's error e goes as
e <- (1 - 2/t) e + (2/t) (C(z_i) - z_i). Estimates begin with the initial model, which all have in
common, so e begins as 0 and, if C is unbiased, has mean 0 forever. Counted from 1, the second
round forgets the first, whose error is doubled; from then on e is a weighted mean of the errors of
all C(z_i), with weights in proportion to t - 1, whose variance falls as 4/(3t) of one error's. That
helps where one error stays bounded while z_i lies ever further ahead: C must be unbiased, and not
relative to z_i. There is no consensus step size.

All who keep xtilde_i have the same: so here messages as large as C(z_i) carry the new xtilde_i
itself. A worker that a crash has reset (faults.model = "reset") is taken to tell its neighbours so
for free.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.algorithms.parts.rounds import Rounds
from desim.tensors.compressors.base import Compressor
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker


class ECDPSGD(Rounds):
    """Synchronous decentralized SGD that sends compressed extrapolations.

    Attributes:
        batch: samples per gradient.
        compressor: C, what is done to the extrapolations that are sent.
    """

    kind: ClassVar[str] = "ecd-psgd"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5, "compressor": {"kind": "none", "bits": 64}},
    )

    batch: Annotated[int, Field(ge=1)]
    compressor: Compressor

    def worker(self, me: Worker) -> Waiting:
        """Compute, send an extrapolation, wait for the neighbours' ones."""
        x = me.initial_model()
        estimate, mixed = me.state(x, x)
        for number in me.rounds():
            t = number + 1
            gradient = yield from me.compute(x, self.batch)
            y = me.record(mixed - me.step_size() * gradient)
            z = yield from me.compress((1 - t / 2) * x + t / 2 * y, self.compressor)
            estimate = me.record((1 - 2 / t) * estimate + 2 / t * z.content)
            received = yield from self.exchange(me, number, Message(estimate, z.size_bits))
            x, mixed = y, (yield from me.mix(estimate, received))
            me.commit(x, estimate, mixed)
