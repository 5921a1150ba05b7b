"""Stochastic Gradient Push (Assran, Loizou, Ballas, Rabbat 2019, arXiv 1811.10792), SGP and OSGP.

Push-sum: a worker holds a vector x and a number w, at first 1, and its model is z = x / w. A step:
    h_i = x_i - alpha g_i(z_i);  send (Q(h_i), w_i)
    x_i <- h_i - (1 - p_ii) Q(h_i) + sum_j p_ij Q(h_j)
    w_i <- p_ii w_i + sum_j p_ij w_j
    z_i = x_i / w_i
where columns of P sum to 1 and rows need not, so that links may go in one direction only. Without
compression it is the paper's x <- P (x - alpha g(z)), w <- P w. Q is an addition: what it loses
stays with the sender, and the sum of x is kept.

With a delay tau (OSGP) the sums over j are over the messages of step k - tau, which are waited for,
and those of the steps after it up to k, as far as all of a step's are there; each counts once.
The sum of w over the workers and of p_ij w_j over what is on its way is n at all times. In the
authors' code a worker sends nothing while its last exchange is under way; here it sends each step.
"""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from desim.algorithms.base import Algorithm
from desim.algorithms.parts.pushes import Pushes
from desim.mixings.base import Weights
from desim.streams import Streams
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker

_WEIGHT_BITS = 32


class SGP(Algorithm):
    """Decentralized SGD by push-sum: links may go in one direction only.

    There is no barrier: a worker waits for messages to itself only.

    Attributes:
        batch: samples per gradient.
        peers: "all" (a worker pushes to all its targets, P is the mixing matrix) or "one" (one half
            to one target in a step, in turn by their hops: 1, 2, 4, ... on a directed exponential
            graph; the mixing matrix has no part in it).
        delay: tau, after how many steps messages must be there: 0 (SGP) or more (OSGP).
        compressor: Q, what is done to the vectors that are sent; w comes with them, in 32 bits, and
            is kept exactly.
    """

    kind: ClassVar[str] = "sgp"
    averages: ClassVar[bool] = False
    survives_reset: ClassVar[bool] = False
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5},
        {"batch": 5, "peers": "one"},
        {"batch": 5, "delay": 1},
    )

    batch: Annotated[int, Field(ge=1)]
    peers: Literal["all", "one"] = "all"
    delay: Annotated[int, Field(ge=0)] = 0
    compressor: Compressor = NoCompressor()

    def prepare(self, weights: Weights, streams: Streams) -> Pushes:
        """Who pushes to whom."""
        return Pushes(weights, one=self.peers == "one", delay=self.delay)

    def message_bits(self, size: Callable[[Compressor], int], workers: int) -> tuple[int, ...]:
        """A vector and its weight."""
        return (size(self.compressor) + _WEIGHT_BITS,)

    def worker(self, me: Worker) -> Waiting:
        """Compute, push, take what others have pushed."""
        pushes = me.common
        pushes.open(me)
        z = me.initial_model()
        w, taken = me.state(1.0, 0)
        for t in me.rounds():
            gradient = yield from me.compute(z, self.batch)
            h = w * z - me.step_size() * gradient
            message = Message.of((yield from me.compress(h, self.compressor)), w)
            kept = pushes.push(me, t, message)
            found, taken = yield from pushes.take(me, taken, t)
            shares = [kept - 1.0, *(share for share, _ in found)]
            vectors = [message.content[0], *(vector for _, (vector, _) in found)]
            w = kept * w + sum(share * weight for share, (_, weight) in found)
            z = (h + (yield from me.sum(shares, vectors))) / w
            me.commit(z, w, taken)
