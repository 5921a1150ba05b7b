"""Asynchronous decentralized SGD: nobody waits for anybody.

    x_i <- x_i + epsilon (w_ii x_i + sum_j w_ij Q(x_j at tau_j) - x_i) - alpha epsilon g_i

with the newest model that worker i has of each neighbour: the asynchronous baseline of Reisizadeh
et al. 2019 (arXiv 1907.10595) and of their reply to reviewers. It averages over the whole
neighbourhood and changes only the worker that is awake; it is not AD-PSGD.
"""

from itertools import count
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from desim.algorithms.parts.absence import Absence
from desim.algorithms.parts.consensus import Consensus
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.worker.protocol import Waiting, Worker


class AsyncDSGD(Absence, Consensus):
    """Asynchronous decentralized SGD over the whole neighbourhood.

    Attributes:
        batch: samples per gradient.
        compressor: what is done to the models that are sent.
        visibility: "received" (a model counts when it has arrived) or "instant" (everyone's
            current model is visible at once, as in the released code; time passes all the same).
        sending: "blocking" (a worker goes on when its model has arrived) or "overlapped" (links
            work while the worker computes; on a busy link the newest model waits, older ones that
            wait are dropped).

    With `absent = "skip"` a model that is sent "blocking" is waited for until timeout_s only.
    """

    kind: ClassVar[str] = "async-dsgd"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5},
        {"batch": 5, "sending": "overlapped"},
    )

    batch: Annotated[int, Field(ge=1)]
    compressor: Compressor = NoCompressor()
    visibility: Literal["received", "instant"] = "received"
    sending: Literal["blocking", "overlapped"] = "blocking"

    def worker(self, me: Worker) -> Waiting:
        """Send, compute, mix with what is there."""
        x = me.initial_model()
        for _ in count():
            message = yield from me.compress(x, self.compressor)
            if self.sending == "blocking":
                yield from me.send(message, self.timeout_s)
            else:
                me.send_when_free(message)
            gradient = yield from me.compute(x, self.batch)
            newest = me.newest(instant=self.visibility == "instant")
            alpha, epsilon = me.step_size(), me.consensus_step()
            x = x + epsilon * ((yield from me.mix(x, newest)) - x) - alpha * epsilon * gradient
            me.commit(x)
