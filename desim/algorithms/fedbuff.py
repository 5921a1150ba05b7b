"""FedBuff (Nguyen et al. 2022, arXiv 2106.06639): asynchronous clients, a buffer at the server.

    client:  y = x; so many times: y <- y - alpha g(y); sends D = y - x
    server:  u <- server_momentum u + (1 / K) sum_{k <= K} w(s_k) D_k      as soon as there are K
             x <- x + server_lr u

with s_k, the staleness, the number of the server's steps since the client was given its x, and
w(s) = 1 or (1 + s)^-a. In the paper clients are drawn from a population, so many at a time; here
they are the workers, and each goes on at once with the newest model. A client that has it already
is told so in 32 bits. A client's optimizer is made anew whenever it is given a model, as in the
authors' FLSim: momentum gathers within its local steps only. Differential privacy isn't there. With
K = 1, one local step and server_lr = 1 it is async-sgd.
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
        server_momentum: what is kept of the server's last direction.
        staleness: "constant" (all updates weigh 1) or "polynomial" (1 + staleness)^-exponent.
        exponent: a.
    """

    kind: ClassVar[str] = "fedbuff"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5, "buffer": 3},
        {"batch": 5, "buffer": 2, "local_steps": 2, "staleness": "polynomial", "server_lr": 0.7},
        {"batch": 5, "buffer": 4, "server_momentum": 0.5, "server_lr": 0.5},
    )

    buffer: Annotated[int, Field(ge=1)] = 10
    local_steps: Annotated[int, Field(ge=1)] = 1
    server_lr: Annotated[float, Field(gt=0)] = 1.0
    server_momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    staleness: Literal["constant", "polynomial"] = "constant"
    exponent: Annotated[float, Field(ge=0)] = 0.5

    def work(self, me: Worker, x: Ref, request: Request) -> Waiting:
        """y - x."""
        me.reset_momentum()
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
        u = me.zero()
        while True:
            for update in (yield from server.updates()):
                weights.append(self.weight(server.version - update.version))
                deltas.append(update.content)
                versions.append(update.version)
                if len(deltas) == self.buffer:
                    total = yield from me.sum(weights, deltas)
                    u = self.server_momentum * u + total / self.buffer
                    if self.server_momentum:
                        u = me.record(u)
                    server.step(server.model + self.server_lr * u, versions)
                    weights, deltas, versions = [], [], []
                yield from server.answer(update)
