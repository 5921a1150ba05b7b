"""Moniqua (Lu, De Sa 2020, arXiv 2002.11787): models are sent modulo the distance they may have.

    q_i = k_i mod 1 in [-1/2, 1/2),  k_i = the multiple of 1/L nearest to x_i / B,  L = 2^bits
    xhat_j = (q_j B - x_i) mod B + x_i,  for j = i, too;  z mod B in [-B/2, B/2]
    x_i <- x_i + epsilon sum_j w_ij (xhat_j - xhat_i) - alpha g_i

with g_i the mean gradient over a fixed batch at x_i and B = 2 theta / (1 - 2 delta), delta = 1/(2L)
the quantizer's error: its levels go round, 1/2 is -1/2, since the receiver's do. If no number of a
neighbour's model is theta or more from one's own, xhat_j = B k_j: within delta B of x_j, the same
for all receivers, and the mean model is kept. If one is, nobody notices, and xhat_j is off by
multiples of B. Neither a scale is sent nor a replica kept.

The paper's slack matrix, r W + (1 - r) I, is epsilon = r; with 1 bit it needs one, r well below 1.
Its quantizers may be random, too; the one built is not, and doesn't tell apart what is in one cell
of B/L.
"""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.algorithms.parts.consensus import Consensus
from desim.algorithms.parts.modulo import Modulo, Turns
from desim.algorithms.parts.rounds import Rounds
from desim.tensors.compressors.base import Compressor
from desim.worker.protocol import Waiting, Worker


class Moniqua(Rounds, Consensus):
    """Synchronous decentralized SGD with modulo-quantized models.

    Attributes:
        batch: samples per gradient.
        theta: more than the largest difference between any number of two neighbours' models.
        bits: per parameter.
    """

    kind: ClassVar[str] = "moniqua"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"batch": 5, "theta": 2.0, "bits": 8},)

    batch: Annotated[int, Field(ge=1)]
    theta: Annotated[float, Field(gt=0)]
    bits: Annotated[int, Field(ge=1, le=16)]

    @property
    def quantizer(self) -> Modulo:
        """Gives q_i."""
        return Modulo(bits=self.bits, period=2 * self.theta / (1 - 2**-self.bits))

    def worker(self, me: Worker) -> Waiting:
        """Compute, send the quantized model, wait, average what it must have meant."""
        quantizer, weights = self.quantizer, (-sum(me.weights), *me.weights)
        turns = Turns(weights, quantizer.period)
        x = me.initial_model()
        for t in me.rounds():
            gradient = yield from me.compute(x, self.batch)
            message = yield from me.compress(x, quantizer)
            received = yield from self.exchange(me, t, message)
            parts = [message.content, *received.messages]
            apart = (yield from me.sum(weights, parts)) - me.map(turns, x, *parts)
            x = x + me.consensus_step() * (quantizer.period * apart) - me.step_size() * gradient
            me.commit(x)

    def message_bits(self, size: Callable[[Compressor], int], workers: int) -> tuple[int, ...]:
        """bits * d."""
        return (size(self.quantizer),)
