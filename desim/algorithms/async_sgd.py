"""Asynchronous SGD with a server (Agarwal & Duchi 2011, arXiv 1104.5525): nobody waits.

    x^{k+1} = x^k - alpha_k g(x^{k - d_k})

with d_k, the delay, the number of steps since the worker was given the model at which it computed
the gradient; alpha_k = alpha, or, delay-adaptive, alpha / (1 + d_k) (as Zhang et al. 2016, arXiv
1511.05950, who divide by the delay; Mishchenko et al. 2022, arXiv 2206.07638, divide by it only
where it is large). Each gradient is one step of alpha: n workers make n steps in the time of one
synchronous step.
"""

from typing import Any, ClassVar, Literal

from desim.algorithms.parts.parameter_server import ParameterServer
from desim.algorithms.parts.served import Served
from desim.worker.protocol import Waiting, Worker


class AsyncSGD(Served):
    """Asynchronous SGD: the server steps with every gradient as it comes.

    Attributes:
        step: "constant" (alpha) or "delay-adaptive" (alpha / (1 + delay)).
    """

    kind: ClassVar[str] = "async-sgd"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5},
        {"batch": 5, "step": "delay-adaptive"},
    )

    step: Literal["constant", "delay-adaptive"] = "constant"

    def server(self, me: Worker) -> Waiting:
        """Step with each gradient, and give its worker the newest model."""
        server = ParameterServer(me, self.model_compressor)
        while True:
            for update in (yield from server.updates()):
                alpha, delay = me.step_size(), server.version - update.version
                step = alpha / (1 + delay) if self.step == "delay-adaptive" else alpha
                server.step(server.model - step * update.content, [update.version])
                yield from server.answer(update)
