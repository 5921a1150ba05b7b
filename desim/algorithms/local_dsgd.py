"""Local SGD with periodic averaging over a graph.

LD-SGD (Li, Yang, Wang, Zhang 2019, arXiv 1910.09126): I1 local steps, then I2 gossip steps, and so
on. With worker i's model x_i and its mean gradient g_i over a fixed batch at x_i, a step is

    local:    x_i <- x_i - alpha epsilon g_i
    gossip:   y_i = x_i - alpha epsilon g_i
              x_i <- y_i + epsilon (w_ii y_i + sum_j w_ij Q(y_j) - y_i)

which with epsilon = 1 and no compression is their X <- (X - alpha G) W_k, W_k = W in a gossip step
and I in a local one. The scaling by epsilon is DSGD's, so that I1 = 0 is DSGD in the order
"adapt-then-combine". I2 = 1 is decentralized periodic averaging with period I1 + 1 (Wang and Joshi
2018, 'Cooperative SGD', arXiv 1808.07576), and on a complete graph with W = J/n it is Local SGD
(Stich 2019, arXiv 1805.09767).
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.algorithms.parts.averaging import Averaging
from desim.algorithms.parts.consensus import Consensus
from desim.worker.protocol import Waiting, Worker


class LocalDSGD(Averaging, Consensus):
    """Decentralized SGD that averages now and then.

    Attributes:
        batch: samples per gradient.
        local_steps: I1, steps in a row without communication; with 0 every step gossips.
        gossip_steps: I2, steps in a row with communication, after them.
    """

    kind: ClassVar[str] = "local-dsgd"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5, "local_steps": 3},
        {"batch": 5, "local_steps": 2, "gossip_steps": 2},
    )

    batch: Annotated[int, Field(ge=1)]
    local_steps: Annotated[int, Field(ge=0)]
    gossip_steps: Annotated[int, Field(ge=1)] = 1

    def worker(self, me: Worker) -> Waiting:
        """Compute and step; in a gossip step also send, wait for the neighbours, mix."""
        x = me.initial_model()
        for t in me.rounds(catch_up=self.skips):
            gradient = yield from me.compute(x, self.batch)
            alpha, epsilon = me.step_size(), me.consensus_step()
            x = me.record(x - alpha * epsilon * gradient)
            if t % (self.local_steps + self.gossip_steps) >= self.local_steps:
                message = yield from me.compress(x, self.compressor)
                received = yield from self.exchange(me, t, message, self.timeout_s)
                x = x + epsilon * ((yield from me.mix(x, received)) - x)
            me.commit(x)
