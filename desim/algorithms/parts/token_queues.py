"""TokenQueues of models and of tokens (Luo et al. 2019, arXiv 1902.01064) between neighbours.

Models lie in a worker's queue by the iteration that they were sent in, until it has come to a
later one. Tokens tell how far neighbours are: a worker that enters an iteration sends its number,
32 bits, to each. Neither is lost in a crash.
"""

from desim.algorithms.parts.mailboxes import Kept, Mailboxes
from desim.tensors.received import Received
from desim.tensors.refs import Ref
from desim.topologies.base import Graph
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker

TOKEN_BITS = 32
_TAG = "token"


class TokenQueues:
    """All workers' queues: a method makes one of these in `prepare`.

    Args:
        graph: without directions; all are in iteration 0.
    """

    def __init__(self, graph: Graph) -> None:
        self._mailboxes = Mailboxes(graph.workers)
        self._entered = [dict.fromkeys(row.tolist(), 0) for row in graph.neighbours]

    def open(self, me: Worker) -> None:
        """From now on the worker takes messages; at the beginning of `worker`."""
        entered = self._entered[me.id]

        def take(sender: int, iteration: int) -> None:
            entered[sender] = max(entered[sender], iteration)

        self._mailboxes.open(me)
        me.on(_TAG, take)

    def enter(self, me: Worker, iteration: int, max_gap: int) -> Waiting:
        """Waits until no neighbour is more than max_gap behind, and tells them of entering."""
        yield from me.until(lambda: iteration - self.reached(me) <= max_gap)
        if iteration:
            me.tell_all(me.neighbours, Message(iteration, TOKEN_BITS), _TAG)

    def reached(self, me: Worker) -> int:
        """The iteration that all its neighbours have entered, as far as the worker knows."""
        return min(self._entered[me.id].values())

    def send(self, me: Worker, iteration: int, message: Message) -> None:
        """Sends a model of this iteration to all neighbours."""
        for j in me.neighbours:
            self._mailboxes.send(me, j, iteration, me.id, message)

    def same(self, me: Worker, iteration: int, backup: int) -> Waiting:
        """Waits until all neighbours' models but `backup` are there, and gives those that are.

        Args:
            me: the worker.
            iteration: that they were sent in; those of earlier ones are dropped.
            backup: how many aren't waited for.
        """
        there = self._mailboxes.since(me, iteration)[iteration]
        yield from me.until(lambda: len(there) >= len(me.neighbours) - backup)
        return Received.partial(me.neighbours, [there.get(j) for j in me.neighbours])

    def newest(self, me: Worker, oldest: int) -> Waiting:
        """Waits for a model of each neighbour that is new enough, and gives the newest of each.

        Args:
            me: the worker.
            oldest: the first iteration that is; those of earlier ones are dropped.

        Returns:
            (iteration, model) pairs, in the order of the neighbours.
        """
        kept = self._mailboxes.since(me, oldest)
        yield from me.until(lambda: len(_newest(kept)) == len(me.neighbours))
        found = _newest(kept)
        return [found[j] for j in me.neighbours]


def _newest(kept: Kept) -> dict[int, tuple[int, Ref]]:
    return {j: (k, model) for k in sorted(kept) for j, model in kept[k].items()}
