"""Rennala SGD (Tyurin & Richtarik 2023, arXiv 2305.12387): S gradients a step, whoever's they are.

    x <- x - (alpha / S) sum_{s <= S} g_s(x)

The server takes the first S gradients at its model and ignores those at older ones; every gradient
is answered with the newest model, and workers are not interrupted. In the paper the answer always
carries the model; here a worker that has it already is told so in 32 bits. Gradients that have come
at the same instant are all looked at before any is answered: with equal speeds, instantaneous
messages and S = n it is synchronous SGD.
The paper takes S = max(1, ceil(sigma^2 / eps)), for gradients of variance sigma^2 and a squared
gradient norm of eps: the time is then optimal for workers of fixed speeds that hold the same data.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.algorithms.parts.parameter_server import ParameterServer
from desim.algorithms.parts.served import Served
from desim.tensors.refs import Ref
from desim.worker.protocol import Waiting, Worker


class RennalaSGD(Served):
    """A step takes the first S gradients at the newest model; older ones are ignored.

    Attributes:
        batches: S.
    """

    kind: ClassVar[str] = "rennala-sgd"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"batch": 5, "batches": 4},)

    #: Whether the server stops gradients at older models.
    cancels: ClassVar[bool] = False

    batches: Annotated[int, Field(ge=1)]

    def server(self, me: Worker) -> Waiting:
        """Take the first S gradients, step; answer everybody at once."""
        server = ParameterServer(me, self.model_compressor)
        gradients: list[Ref] = []
        while True:
            updates = yield from server.updates()
            for update in updates:
                if update.version == server.version:
                    gradients.append(update.content)
                if len(gradients) == self.batches:
                    mean = yield from me.mean(gradients)
                    x = server.model - me.step_size() * mean
                    server.step(x, [server.version] * len(gradients))
                    gradients = []
            for update in updates:
                yield from server.answer(update)
            if self.cancels:
                yield from server.interrupt(age=1)
