"""AD-PSGD (Lian et al. 2018, arXiv 1710.06952): asynchronous averages of random pairs.

Each worker, without a barrier:
    g_i <- gradient at x_i as it is now
    x_i, x_j <- (x_i + x_j) / 2, in one go, with a random neighbour j
    x_i <- x_i - alpha g_i

As in the paper's implementation, some workers are active and the others passive, which leaves no
room for deadlocks: only active ones choose a neighbour, a passive one, which averages at the
instant at which it is asked, in the midst of a gradient that is then of an older model. An active
worker waits for the answer, and its model doesn't change meanwhile, so the average is atomic. The
sides are those of a bipartite graph; in another one even and odd numbers, if the edges across then
connect all, or else even and odd distances from worker 0. Edges within a side aren't used. The
larger side is active (that of worker 0 if they are equal).

With a compressor Q the pair gets x_i + (Q(x_j) - Q(x_i)) / 2 and x_j + (Q(x_i) - Q(x_j)) / 2, which
keeps their mean, too.
"""

from itertools import count
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from desim.algorithms.base import Algorithm
from desim.algorithms.parts.exchanges import Exchange, Exchanges
from desim.algorithms.parts.line import Line
from desim.mixings.base import Weights
from desim.streams import Streams
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.worker.protocol import Waiting, Worker


class ADPSGD(Algorithm):
    """Asynchronous decentralized parallel SGD: random pairs average.

    Attributes:
        batch: samples per gradient.
        compressor: Q, what is done to the models that are sent.
        overlap: an active worker asks before it computes its gradient, at the same model, so that
            the links work meanwhile.
    """

    kind: ClassVar[str] = "ad-psgd"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"batch": 5}, {"batch": 5, "overlap": True})

    batch: Annotated[int, Field(ge=1)]
    compressor: Compressor = NoCompressor()
    overlap: bool = False

    def prepare(self, weights: Weights, streams: Streams) -> "_Sides":
        """Who is active; refuses a directed graph."""
        exchanges = Exchanges(self.name, weights, Line(apart=False))
        odd = _odd(weights)
        active = odd if odd.sum() > odd.size / 2 else ~odd
        return _Sides(
            exchanges,
            [
                row[~active[row]].tolist() if active[i] else []
                for i, row in enumerate(weights.graph.neighbours)
            ],
        )

    def worker(self, me: Worker) -> Waiting:
        """Compute, average with a neighbour if active, step; answer meanwhile if passive."""
        exchanges, partners = me.common.exchanges, me.common.partners[me.id]
        pair = Exchange(me, exchanges, self.compressor, lambda: me.model)
        for _ in count():
            step = me.steps
            if partners and self.overlap:
                yield from pair.ask(partners, step)
            gradient = yield from me.compute(me.model, self.batch)
            if partners:
                if not self.overlap:
                    yield from pair.ask(partners, step)
                yield from pair.done(step)
            me.commit(me.model - me.step_size() * gradient)


def _odd(weights: Weights) -> npt.NDArray[np.bool_]:
    """Of each worker whether it is on the other side than worker 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components, shortest_path

    graph = weights.graph
    n, ends = graph.workers, np.concatenate(graph.neighbours)
    begins = np.repeat(np.arange(n), graph.degrees)
    edges = coo_array((np.ones(len(ends)), (begins, ends)), (n, n))
    hops: npt.NDArray[np.float64] = shortest_path(edges, unweighted=True, indices=0)
    by_hops: npt.NDArray[np.bool_] = hops % 2 == 1
    by_number: npt.NDArray[np.bool_] = np.arange(len(hops)) % 2 == 1
    if (hops[begins] % 2 != hops[ends] % 2).all():
        return by_hops  # no edge is within a side
    across = by_number[begins] != by_number[ends]
    kept = coo_array((across[across], (begins[across], ends[across])), (n, n))
    return by_number if connected_components(kept)[0] == 1 else by_hops


class _Sides(NamedTuple):
    """The passive neighbours of each active worker; none of passive ones."""

    exchanges: Exchanges
    partners: list[list[int]]
