"""Malenia SGD (Tyurin & Richtarik 2023, arXiv 2305.12387): for workers that hold different data.

    x <- x - alpha (1/n) sum_i (1/B_i) sum_{s <= B_i} g_is(x)

with B_i the gradients at the server's model that have come from worker i, as soon as
(1/n sum_i 1/B_i)^-1 >= S/n: everyone has sent one then, and fast workers have sent more, which
lowers the noise. All workers weigh the same, whatever their speeds. Messages and the order of
answers are those of Rennala SGD. With S = n, equal speeds and instantaneous messages it is
synchronous SGD.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.algorithms.parts.parameter_server import ParameterServer
from desim.algorithms.parts.served import Served
from desim.tensors.refs import Ref
from desim.worker.protocol import Waiting, Worker


class MaleniaSGD(Served):
    """A step takes as many gradients of each worker as it sends until the noise is low enough.

    Attributes:
        batches: S; up to n it takes one gradient of each of the n workers.
    """

    kind: ClassVar[str] = "malenia-sgd"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5, "batches": 1},
        {"batch": 5, "batches": 10},
    )

    batches: Annotated[int, Field(ge=1)]

    def server(self, me: Worker) -> Waiting:
        """Collect until there are enough of everyone, step; answer everybody at once."""
        server = ParameterServer(me, self.model_compressor)
        gradients: dict[int, list[Ref]] = {}
        while True:
            updates = yield from server.updates()
            for update in updates:
                if update.version == server.version:
                    gradients.setdefault(update.worker, []).append(update.content)
                if self.enough(gradients, me.workers):
                    weights = [1 / (me.workers * len(g)) for g in gradients.values() for _ in g]
                    refs = [ref for own in gradients.values() for ref in own]
                    mean = yield from me.sum(weights, refs)
                    x = server.model - me.step_size() * mean
                    server.step(x, [server.version] * len(refs))
                    gradients = {}
            for update in updates:
                yield from server.answer(update)

    def enough(self, gradients: dict[int, list[Ref]], workers: int) -> bool:
        """Whether the harmonic mean of all B_i is S/n at least."""
        if len(gradients) < workers:
            return False
        # Multiplied out, and with room for rounding: 1/3 + 1/3 + 1/3 must count as 1.
        inverses = sum(1 / len(own) for own in gradients.values())
        return self.batches * inverses <= workers**2 * (1 + 1e-12)
