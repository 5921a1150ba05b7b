"""MATCHA (Wang, Sahu, Yang, Joshi, Kar 2019, arXiv 1905.09435): few links a round, drawn at random.

The graph's edges are coloured: matchings, in which no two edges share a worker. In round t matching
k is active (b_k = 1) with probability p_k, each for itself, and W_t = I - a sum_k b_k L_k:
    adapt, then combine:
        y_i = x_i - alpha g_i;  x_i <- y_i + a sum_(j active) (Q(y_j) - Q(y_i))
    combine, then adapt:
        x_i <- x_i + a sum_(j active) (Q(x_j) - Q(x_i)) - alpha g_i
Without compression that is x <- W_t (x - alpha g), as in the authors' code, and
x <- W_t x - alpha g. The mean of all models is kept, whatever Q is.

p maximises lambda_2(sum_k p_k L_k) with sum_k p_k = budget * (number of matchings), and a minimises
||E[W_t' W_t] - 11'/n||, as in the paper; the scenario's mixing has no part in it. There are at most
d_max + 1 matchings (Misra, Gries 1992); the authors' code takes perfect ones first and colours the
rest greedily. In the paper one active matching goes after another; here all at once, and the link
model says what gets in the way of what ('fifo': a worker's own messages). Q is an addition.
"""

from collections.abc import Sized
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from desim.algorithms.parts.mailboxes import Mailboxes
from desim.algorithms.parts.matchings import Activations, Matchings, best_probabilities, mixing_step
from desim.algorithms.parts.rounds import Rounds
from desim.errors import ScenarioError
from desim.mixings.base import Weights
from desim.streams import Streams
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.worker.protocol import Waiting, Worker

#: Eigenvalues of a dense matrix of that size take half a second, and about a hundred are needed.
_MOST_WORKERS = 1000


class _Common(NamedTuple):
    activations: Activations
    a: float
    mailboxes: Mailboxes


class MATCHA(Rounds):
    """Decentralized SGD over random matchings of the graph.

    To find p and a takes a second on 50 workers with 20 neighbours each, ten on 200 with 80, and a
    minute on 1,000.

    Attributes:
        batch: samples per gradient.
        budget: the mean share of the matchings that is active; 1 uses all links in every round.
        order: "adapt-then-combine" (the authors') or "combine-then-adapt".
        compressor: Q, what is done to the models that are sent.
    """

    kind: ClassVar[str] = "matcha"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5},
        {"batch": 5, "barrier": "neighbors", "order": "combine-then-adapt"},
    )

    batch: Annotated[int, Field(ge=1)]
    budget: Annotated[float, Field(gt=0, le=1)] = 0.5
    order: Literal["adapt-then-combine", "combine-then-adapt"] = "adapt-then-combine"
    compressor: Compressor = NoCompressor()

    def prepare(self, weights: Weights, streams: Streams) -> _Common:
        """The matchings, when each is active, and a.

        Raises:
            ScenarioError: the graph is directed, or too large for p and a.
        """
        graph, key = weights.graph, f"algorithms.{self.name}"
        if graph.directed:
            raise ScenarioError(
                f"{key}: matchings need links that go both ways; take an undirected topology, or "
                "sgp"
            )
        if graph.workers > _MOST_WORKERS:
            raise ScenarioError(
                f"{key}: finds its probabilities for at most {_MOST_WORKERS:,} workers, here are "
                f"{graph.workers:,}; take fewer, or dsgd"
            )
        matchings = Matchings.of(graph)
        p = best_probabilities(matchings, self.budget)
        a, _ = mixing_step(matchings, p)
        return _Common(Activations(matchings, p, streams), a, Mailboxes(graph.workers))

    def worker(self, me: Worker) -> Waiting:
        """Compute, exchange models with the round's partners, mix."""
        activations, a, mailboxes = me.common
        mailboxes.open(me)
        x = me.initial_model()
        for t in me.rounds():
            partners, there = activations.partners(t)[me.id], mailboxes.since(me, t)[t]
            gradient = yield from me.compute(x, self.batch)
            y = x - me.step_size() * gradient
            if partners:
                sent = x if self.order == "combine-then-adapt" else y
                message = yield from me.compress(sent, self.compressor)
                for j in partners:
                    mailboxes.send(me, j, t, me.id, message)
                yield from me.until(partial(_all_of, there, partners))
            yield from self.meet(me)
            if partners:
                models = [*(there[j] for j in partners), message.content]
                y = y + (yield from me.sum([a] * len(partners) + [-a * len(partners)], models))
            x = y
            me.commit(x)


def _all_of(there: Sized, partners: Sized) -> bool:
    return len(there) == len(partners)
