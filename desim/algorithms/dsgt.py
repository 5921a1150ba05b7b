"""Gradient tracking: everyone follows an estimate of the mean gradient of all workers.

    x_i <- sum_j w_ij x_j - alpha y_i
    y_i <- sum_j w_ij y_j + g_i(new x_i) - g_i(old x_i),    y_i = g_i at the beginning

with g_i the mean gradient over a fixed batch, each used in two steps. This is the form of DIGing
(Nedic, Olshevsky, Shi 2017, arXiv 1607.03218) with stochastic gradients, built in BlueFog too; the
DSGT of Pu and Nedic (2018, arXiv 1805.11454) averages x_j - alpha y_j instead. Since W keeps means,
the mean of all y_i is the mean of all g_i at any time, and where the gradients are exact all
workers end at the optimum of the mean loss, however different their data.

Model and tracker travel in one message, twice a model in size. Compressed, as nobody's paper has
it, each of the two is averaged as x_i + sum_j w_ij (Q(x_j) - Q(x_i)): so the means stay whatever is
lost. A crash that resets a worker (faults.model = "reset") would cost the mean of the trackers, for
good, and is refused.
"""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.algorithms.parts.rounds import Rounds
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker


class DSGT(Rounds):
    """Decentralized stochastic gradient tracking.

    Attributes:
        batch: samples per gradient.
        compressor: Q, what is done to the models and the trackers that are sent.
    """

    kind: ClassVar[str] = "dsgt"
    survives_reset: ClassVar[bool] = False
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"batch": 5},)

    batch: Annotated[int, Field(ge=1)]
    compressor: Compressor = NoCompressor()

    def message_bits(self, size: Callable[[Compressor], int], workers: int) -> tuple[int, ...]:
        """Two vectors."""
        return (2 * size(self.compressor),)

    def worker(self, me: Worker) -> Waiting:
        """Compute, correct the tracker, send, wait for the neighbours, mix."""
        x = me.initial_model()
        # sum_j w_ij y_j and g_i of the step before; with zeros the first y_i is g_i.
        averaged, before = me.state(me.zero(), me.zero())
        for t in me.rounds():
            gradient = yield from me.compute(x, self.batch)
            y = me.record(averaged + gradient - before)
            model = yield from me.compress(x, self.compressor)
            tracker = yield from me.compress(y, self.compressor, slot=1)
            received = yield from self.exchange(me, t, Message.of(model, tracker))
            averaged = yield from self.keeping_mean(me, y, tracker.content, received.part(1))
            x = yield from self.keeping_mean(me, x, model.content, received.part(0))
            x, before = x - me.step_size() * y, gradient
            me.commit(x, averaged, before)
