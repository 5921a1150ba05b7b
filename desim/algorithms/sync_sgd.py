"""Synchronous SGD with backup workers (Chen et al. 2016, arXiv 1604.00981).

    x <- x - alpha (1 / (N - b)) sum_{i among the first N - b} g_i(x)

of N workers, b of them backups: the server takes the first N - b gradients at its model; those that
come later are dropped, and their workers go on with the newest model as soon as they are done: they
aren't interrupted. With b = 0 it is synchronous SGD. The paper speaks of N + b workers; N here is
all of them.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.algorithms.parts.parameter_server import ParameterServer, Update
from desim.algorithms.parts.served import Served
from desim.clock.fleet import Fleet
from desim.errors import ScenarioError
from desim.tensors.refs import Ref
from desim.worker.protocol import Waiting, Worker


class SyncSGD(Served):
    """Synchronous SGD with a server, which may go on without the last few.

    Attributes:
        backups: b, how many gradients of a step are dropped.
    """

    kind: ClassVar[str] = "sync-sgd"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"batch": 5}, {"batch": 5, "backups": 1})

    backups: Annotated[int, Field(ge=0)] = 0

    def server(self, me: Worker) -> Waiting:
        """Take the first N - b gradients, step, answer all that wait."""
        self.check(me.fleet)
        server, used = ParameterServer(me, self.model_compressor), me.workers - self.backups
        gradients: list[Ref] = []
        waiting: list[Update] = []
        while True:
            for update in (yield from server.updates()):
                waiting.append(update)
                if update.version == server.version:
                    gradients.append(update.content)
                if len(gradients) == used:
                    mean = yield from me.mean(gradients)
                    x = server.model - me.step_size() * mean
                    server.step(x, [server.version] * len(gradients))
                    gradients = []
            for update in waiting:
                if update.version < server.version:
                    yield from server.answer(update)
            waiting = [update for update in waiting if update.version == server.version]

    def details(self, fleet: Fleet) -> dict[str, Any]:
        """N - b.

        Raises:
            ScenarioError: that isn't positive.
        """
        workers = len(fleet.workers())
        if self.backups >= workers:
            raise ScenarioError(
                f"backups = {self.backups}: must be less than the number of workers, {workers}, so "
                "that a step has a gradient"
            )
        return {"gradients per step": workers - self.backups}
