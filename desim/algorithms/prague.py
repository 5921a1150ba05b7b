"""Prague (Luo et al. 2020, ASPLOS; its preprint is Ripples, arXiv 1909.08029): partial all-reduce.

    x_i <- (1/|G|) sum_{j in G} (x_j - alpha g_j)      G: the group that worker i is in

Groups are drawn at random when a worker asks for one and is in none that is to come, else it takes
that (Group Buffer): with "random" one group of it and others, with "division" (Global Division) all
workers that are in none are divided. With `max_lag` no group is drawn with workers that have ended
more than so many groups fewer than who asks (the slowdown filter). One left alone goes on alone.

Groups average by ring all-reduce. Two that share a worker are one after the other, in one order for
all, which can't deadlock: see `desim.algorithms.groups`. The group generator takes neither time
nor bits. Left out: static schedules, and groups that know which workers share a machine.
"""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from desim.algorithms.base import Algorithm
from desim.algorithms.parts.all_reduce import Floats, chunk_sizes, ring_mean
from desim.algorithms.parts.groups import Groups
from desim.algorithms.parts.mailboxes import Mailboxes
from desim.errors import ScenarioError
from desim.mixings.base import Weights
from desim.streams import Streams
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.topologies.base import Topology
from desim.topologies.complete import Complete
from desim.worker.protocol import Waiting, Worker


class Prague(Algorithm):
    """Partial all-reduce in random groups.

    Attributes:
        batch: samples per gradient.
        group: workers in a group; the last group of a division may be smaller.
        grouping: "division" or "random".
        max_lag: how many groups a worker may be behind who asks; left out, any number.
        compressor: the floats that models are sent as.
        topology: complete, whatever the network's, since groups may be of any workers.
    """

    kind: ClassVar[str] = "prague"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"batch": 5},
        {"batch": 5, "group": 2, "grouping": "random", "max_lag": 3},
    )

    batch: Annotated[int, Field(ge=1)]
    group: Annotated[int, Field(ge=2)] = 3
    grouping: Literal["division", "random"] = "division"
    max_lag: Annotated[int, Field(ge=1)] | None = None
    compressor: Floats = NoCompressor()
    topology: Topology | None = Complete()

    def prepare(self, weights: Weights, streams: Streams) -> "_Common":
        """The group generator; refuses groups that are too large, and a graph that lacks links."""
        workers = weights.graph.workers
        if self.group > workers:
            raise ScenarioError(
                f"algorithms.{self.name}.group = {self.group}: there are {workers} workers; must "
                "be at most as many"
            )
        if weights.graph.out_degrees.min() < workers - 1:
            raise ScenarioError(
                f"algorithms.{self.name}.topology: every two workers must be linked, since groups "
                "may be of any of them; leave topology out for a complete graph"
            )
        return _Common(Mailboxes(workers), _Drawn(self, workers, streams))

    def worker(self, me: Worker) -> Waiting:
        """Compute, step, average with the group."""
        mailboxes, groups = me.common
        mailboxes.open(me)
        x = me.initial_model()
        for _ in count():
            gradient = yield from me.compute(x, self.batch)
            own = yield from me.compress(x - me.step_size() * gradient, self.compressor)
            number, group = groups.next(me.id)
            x = yield from ring_mean(me, mailboxes, group, number, self.compressor, own)
            groups.end(me.id)
            me.commit(x)

    def messages_per_round(self, workers: int) -> tuple[int, int]:
        """2 (|G| - 1) chunks each, on links between any two."""
        return 2 * (self.group - 1) * workers, workers * (workers - 1)

    def message_bits(self, size: Callable[[Compressor], int], workers: int) -> tuple[int, ...]:
        """One chunk of as many as the group has members."""
        return chunk_sizes(self.compressor, size, range(min(self.group, workers), 1, -1))


class _Drawn(Groups):
    def __init__(self, method: Prague, workers: int, streams: Streams) -> None:
        super().__init__(workers)
        self._method, self._workers, self._streams = method, workers, streams

    def draw(self, worker: int) -> list[Sequence[int]]:
        """One group with the worker, or several of those that are in none."""
        size, lag = self._method.group, self._method.max_lag
        division = self._method.grouping == "division"
        order = np.array(self.free if division else range(self._workers))
        order = order[np.argsort(self._streams.uniforms("choices", order, self.drawn))]
        least = -1 if lag is None else self.ended[worker] - lag
        others = [j for j in order.tolist() if j != worker and self.ended[j] >= least]
        first, rest = [worker, *others[: size - 1]], others[size - 1 :] if division else []
        return [first, *(rest[k : k + size] for k in range(0, len(rest), size))]


class _Common(NamedTuple):
    mailboxes: Mailboxes
    groups: Groups
