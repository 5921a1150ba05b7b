"""K-batch-sync SGD (Dutta et al. 2018, arXiv 1803.01113): K batches a step, whoever they are from.

    x <- x - (alpha / K) sum_{k <= K} g_k(x)

Workers compute one gradient after another at the server's model. When K have come, the server steps
and sends the model to all workers at once: those that are still computing stop, and go on with it;
their gradients are lost. That is Rennala SGD with cancelling. In the paper messages take no time;
here a worker waits until the server has its gradient, since it would clog a slow link otherwise,
and says so when it has been cancelled, before the server cancels it again.
"""

from typing import Any, ClassVar

from desim.algorithms.parts.parameter_server import Request
from desim.algorithms.rennala_sgd import RennalaSGD
from desim.tensors.refs import Ref
from desim.worker.protocol import Waiting, Worker


class KBatchSync(RennalaSGD):
    """A step takes the first K batches, and all others are cancelled.

    Attributes:
        batches: K.
    """

    kind: ClassVar[str] = "k-batch-sync"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"batch": 5, "batches": 4},)

    cancels: ClassVar[bool] = True

    def work(self, me: Worker, x: Ref, request: Request) -> Waiting:
        """The gradient at x, unless the next model comes before it is done."""
        return (yield from me.compute_unless(x, self.batch, request))
