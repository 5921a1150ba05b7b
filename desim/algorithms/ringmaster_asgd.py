"""Ringmaster ASGD (Maranjyan, Tyurin & Richtarik 2025, arXiv 2501.16168): no gradient is too old.

    x^{k+1} = x^k - alpha g(x^{k - d_k})    if the delay d_k < R; else the gradient is discarded

The delay counts the steps since the worker was given its model. Every gradient is answered with the
newest model. Without R it is async-sgd. With `stop`, the paper's second form, the server sends the
newest model, unasked, to each worker whose gradient has become too old, and the worker stops
computing it.
The paper takes R = max(1, ceil(sigma^2 / eps)), for gradients of variance sigma^2 and a squared
gradient norm of eps, and alpha = min(1 / (2 R L), eps / (4 L sigma^2)): the time is then optimal
for workers that hold the same data.
"""

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from desim.algorithms.parts.parameter_server import ParameterServer, Request
from desim.algorithms.parts.served import Served
from desim.tensors.refs import Ref
from desim.worker.protocol import Waiting, Worker


class RingmasterASGD(Served):
    """Asynchronous SGD that discards gradients which are too old.

    Attributes:
        delay_limit: R, in steps; gradients with this delay and more are discarded. Left out, none
            are.
        stop: don't even finish a gradient that has become too old.
    """

    kind: ClassVar[str] = "ringmaster-asgd"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5},
        {"batch": 5, "delay_limit": 4},
        {"batch": 5, "delay_limit": 4, "stop": True},
    )

    delay_limit: Annotated[int, Field(ge=1)] | None = None
    stop: bool = False

    @model_validator(mode="after")
    def _stops_at_a_limit(self) -> Self:
        if self.stop and self.delay_limit is None:
            raise ValueError("stop = true: needs delay_limit, the delay at which to stop")
        return self

    def work(self, me: Worker, x: Ref, request: Request) -> Waiting:
        """The gradient at x, unless the answer comes before it is done."""
        if self.stop:
            return (yield from me.compute_unless(x, self.batch, request))
        return (yield from me.compute(x, self.batch))

    def server(self, me: Worker) -> Waiting:
        """Step with each gradient that isn't too old, and give its worker the newest model."""
        server = ParameterServer(me, self.model_compressor)
        while True:
            for update in (yield from server.updates()):
                if self.delay_limit is None or server.version - update.version < self.delay_limit:
                    x = server.model - me.step_size() * update.content
                    server.step(x, [update.version])
                yield from server.answer(update)
            if self.stop and self.delay_limit is not None:
                yield from server.interrupt(age=self.delay_limit)
