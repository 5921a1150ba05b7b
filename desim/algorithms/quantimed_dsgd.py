"""QuanTimed-DSGD (Reisizadeh et al. 2019, arXiv 1907.10595): compute until a deadline.

    x_i <- (1 - epsilon + epsilon w_ii) x_i + epsilon sum_j w_ij Q(x_j) - alpha epsilon g_i

with g_i the mean gradient over the floor(V_i T_d) samples that worker i gets through before the
deadline T_d; zero if there are none. Weighted by samples, the step of worker i is scaled by the
size of its batch over the mean one: all samples then weigh the same, as in Anytime Minibatch
(Ferdinand et al. 2019, arXiv 2006.05752), instead of all workers.
"""

from typing import Any, ClassVar, Literal

from desim.algorithms.parts.consensus import Consensus
from desim.algorithms.parts.deadline import Deadline
from desim.algorithms.parts.synchronous import Synchronous
from desim.clock.fleet import Fleet
from desim.worker.protocol import Waiting, Worker


class QuanTimedDSGD(Deadline, Synchronous, Consensus):
    """Deadline-based decentralized SGD with quantized models.

    Attributes:
        weighting: "workers" (the paper's) or "samples".
    """

    kind: ClassVar[str] = "quantimed-dsgd"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"expected_batch": 20.0},
        {"expected_batch": 20.0, "weighting": "samples"},
    )

    weighting: Literal["workers", "samples"] = "workers"

    def worker(self, me: Worker) -> Waiting:
        """Compute until the deadline, send, wait for the messages, mix."""
        deadline_s, expected = self.deadline(me.fleet), self.mean_batch(me.fleet)
        x = me.initial_model()
        for t in me.rounds(catch_up=self.skips):
            computing = me.compute_until(x, deadline_s, self.max_batch)
            (gradient, batch), received = yield from self.compute_and_exchange(me, t, x, computing)
            alpha, epsilon = me.step_size(), me.consensus_step()
            step = alpha * epsilon * (batch / expected if expected else 1.0)
            x = x + epsilon * ((yield from me.mix(x, received)) - x) - step * gradient
            me.commit(x)

    def mean_batch(self, fleet: Fleet) -> float | None:
        """The mean batch that steps are scaled by; None where they aren't."""
        if self.weighting == "workers":
            return None
        return self.expected_batch or fleet.mean_batch(self.deadline(fleet))
