"""Stale synchronous parallel SGD (Ho et al. 2013, NeurIPS): clocks at most s apart.

    x <- x - (alpha / n) g_i        at the server, as soon as a gradient comes

Worker i's clock counts its gradients. After its c-th it waits until no worker's clock is below
c - s; then it is given the model of that moment, which has all gradients up to clock c - s in it,
and of newer ones those that have come. With the steps scaled by 1/n the n gradients of a clock make
one step of synchronous SGD, and with s = 0 the models after each clock are those of sync-sgd. In
the paper a worker may read a cached copy that is just fresh enough; here each asks the server.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.algorithms.parts.parameter_server import ParameterServer, Update
from desim.algorithms.parts.served import Served
from desim.worker.protocol import Waiting, Worker


class SSP(Served):
    """Workers may be ahead of the slowest, but not by more than the staleness.

    Attributes:
        staleness: s, in gradients; 0 is synchronous.
    """

    kind: ClassVar[str] = "ssp"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5, "staleness": 0},
        {"batch": 5, "staleness": 2},
    )

    staleness: Annotated[int, Field(ge=0)]

    def server(self, me: Worker) -> Waiting:
        """Step with each gradient; answer those that aren't too far ahead."""
        server = ParameterServer(me, self.model_compressor)
        clocks = [0] * me.workers
        waiting: list[Update] = []
        while True:
            for update in (yield from server.updates()):
                clocks[update.worker] += 1
                step = me.step_size() / me.workers
                server.step(server.model - step * update.content, [update.version])
                waiting.append(update)
            furthest = min(clocks) + self.staleness
            for update in waiting:
                if clocks[update.worker] <= furthest:
                    yield from server.answer(update)
            waiting = [update for update in waiting if clocks[update.worker] > furthest]
