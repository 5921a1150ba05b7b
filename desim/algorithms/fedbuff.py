"""FedBuff (Nguyen et al. 2022, arXiv 2106.06639): asynchronous clients, a buffer at the server.

    client:  y = x; so many times: y <- y - alpha g(y); sends D = y - x
    server:  x <- x + (server_lr / K) sum_{k <= K} w(s_k) D_k        as soon as there are K

with s_k, the staleness, the number of the server's steps since the client was given its x, and
w(s) = 1 or (1 + s)^-a. In the paper clients are drawn from a population, so many at a time; here
they are the workers, and each goes on at once with the newest model. A client that has it already
is told so in 32 bits. Neither differential privacy nor server momentum is there. With K = 1, one
local step and server_lr = 1 it is async-sgd.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from desim.algorithms.parts.parameter_server import ParameterServer, Request
from desim.algorithms.parts.served import Served
from desim.tensors.refs import Ref
from desim.worker.protocol import Waiting, Worker


class FedBuff(Served):
    """Buffered asynchronous aggregation of what clients have learnt in several local steps.

    Attributes:
        buffer: K, the updates in a step of the server.
        local_steps: a client's steps of alpha between two messages.
        server_lr: the server's step size.
        staleness: "constant" (all updates weigh 1) or "polynomial" (1 + staleness)^-exponent.
        exponent: a.
    """

    kind: ClassVar[str] = "fedbuff"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5, "buffer": 3},
        {"batch": 5, "buffer": 2, "local_steps": 2, "staleness": "polynomial", "server_lr": 0.7},
    )

    buffer: Annotated[int, Field(ge=1)] = 10
    local_steps: Annotated[int, Field(ge=1)] = 1
    server_lr: Annotated[float, Field(gt=0)] = 1.0
    staleness: Literal["constant", "polynomial"] = "constant"
    exponent: Annotated[float, Field(ge=0)] = 0.5

    def work(self, me: Worker, x: Ref, request: Request) -> Waiting:
        """y - x."""
        y = x
        for _ in range(self.local_steps):
            gradient = yield from me.compute(y, self.batch)
            y = y - me.step_size() * gradient
        return y - x

    def weight(self, staleness: int) -> float:
        """w(s)."""
        return 1.0 if self.staleness == "constant" else (1 + staleness) ** -self.exponent

    def server(self, me: Worker) -> Waiting:
        """Fill the buffer, step; answer everybody at once."""
        server = ParameterServer(me, self.model_compressor)
        weights: list[float] = []
        deltas: list[Ref] = []
        versions: list[int] = []
        while True:
            for update in (yield from server.updates()):
                weights.append(self.weight(server.version - update.version))
                deltas.append(update.content)
                versions.append(update.version)
                if len(deltas) == self.buffer:
                    total = yield from me.sum(weights, deltas)
                    x = server.model + (self.server_lr / self.buffer) * total
                    server.step(x, versions)
                    weights, deltas, versions = [], [], []
                yield from server.answer(update)
