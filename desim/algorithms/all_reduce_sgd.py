"""Ring all-reduce SGD: synchronous SGD whose gradients are averaged exactly, without a server.

    x_i <- x_i - alpha (1/n) sum_j g_j

with g_j the mean gradient of worker j over its batch: the baseline of data-parallel training, as in
Horovod (Sergeev and Del Balso 2018, arXiv 1802.05799). Everyone waits for everyone. All models are
the same at all times, as long as none is lost: with `faults.model = "reset"` a worker goes on from
the initial model with the others' gradients.

Gradients go round in the order of the workers' numbers, on links i -> i + 1 and from the last to
the first; each worker sends 2 (n - 1) chunks of d / n numbers, after its gradient is complete.
"""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.algorithms.base import Algorithm
from desim.algorithms.parts.all_reduce import Floats, chunk_sizes, ring_mean
from desim.algorithms.parts.mailboxes import Mailboxes
from desim.errors import ScenarioError
from desim.mixings.base import Weights
from desim.streams import Streams
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.topologies.base import Topology
from desim.topologies.ring import Ring
from desim.worker.protocol import Waiting, Worker


class AllReduceSGD(Algorithm):
    """Synchronous SGD with ring all-reduce.

    Attributes:
        batch: samples per gradient.
        compressor: the floats that gradients are sent as.
        topology: whose links are used; a ring unless another is given, whatever the network's.
    """

    kind: ClassVar[str] = "all-reduce-sgd"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"batch": 5},)

    batch: Annotated[int, Field(ge=1)]
    compressor: Floats = NoCompressor()
    topology: Topology | None = Ring()

    def prepare(self, weights: Weights, streams: Streams) -> Mailboxes:
        """Where chunks arrive; refuses a graph in which worker i has no link to worker i + 1."""
        count = weights.graph.workers
        for i, targets in enumerate(weights.graph.targets):
            if (i + 1) % count not in targets:
                raise ScenarioError(
                    f"algorithms.{self.name}.topology: worker {i} has no link to worker "
                    f"{(i + 1) % count}, but each must have one to the next, and the last to the "
                    "first; leave topology out for a ring"
                )
        return Mailboxes(count)

    def worker(self, me: Worker) -> Waiting:
        """Compute, average the gradients of all, step."""
        ring = list(range(me.workers))
        me.common.open(me)
        x = me.initial_model()
        for t in me.rounds():
            gradient = yield from me.compute(x, self.batch)
            own = yield from me.compress(gradient, self.compressor)
            mean = yield from ring_mean(me, me.common, ring, t, self.compressor, own)
            x = x - me.step_size() * mean
            me.commit(x)

    def messages_per_round(self, workers: int) -> tuple[int, int]:
        """2 (n - 1) chunks each, on the ring's links."""
        return 2 * (workers - 1) * workers, workers

    def message_bits(self, size: Callable[[Compressor], int], workers: int) -> tuple[int, ...]:
        """One chunk, which may be a number longer than another."""
        return chunk_sizes(self.compressor, size, [workers])
