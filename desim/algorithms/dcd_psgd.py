"""DCD-PSGD (Tang et al. 2018, arXiv 1803.06443): what is compressed is a model's change.

    z_i = sum_j w_ij x_j - alpha g_i - x_i
    x_i <- x_i + C(z_i),  which the neighbours add to their replicas of x_i, too

with j over the neighbours and i itself, and g_i the mean gradient over a fixed batch at x_i: the
paper's Algorithm 1. Replicas begin with the initial model, which all have in common, and never
differ from the models: so here messages as large as C(z_i) carry the new x_i itself.

C must be unbiased, and its relative error small against the spectral gap of W: there is nothing
that corrects it. There is no consensus step size. A worker that a crash has reset (faults.model =
"reset") is taken to tell its neighbours so for free.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.algorithms.parts.rounds import Rounds
from desim.tensors.compressors.base import Compressor
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker


class DCDPSGD(Rounds):
    """Synchronous decentralized SGD that sends compressed differences.

    Attributes:
        batch: samples per gradient.
        compressor: C, what is done to the changes that are sent.
    """

    kind: ClassVar[str] = "dcd-psgd"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5, "compressor": {"kind": "low-precision", "levels": 63}},
    )

    batch: Annotated[int, Field(ge=1)]
    compressor: Compressor

    def worker(self, me: Worker) -> Waiting:
        """Compute, send how the model should change, wait for the neighbours' changes."""
        x = me.initial_model()
        [mixed] = me.state(x)
        for t in me.rounds():
            gradient = yield from me.compute(x, self.batch)
            change = yield from me.compress(mixed - me.step_size() * gradient - x, self.compressor)
            x = me.record(x + change.content)
            received = yield from self.exchange(me, t, Message(x, change.size_bits))
            mixed = yield from me.mix(x, received)
            me.commit(x, mixed)
