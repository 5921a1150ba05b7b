"""Who averages with whom: groups of workers in one order for all.

A worker that is done with its local steps asks for its next group. If it is in none that is still
to come, some are drawn, and get the next numbers; every member comes to its groups by ascending
numbers. Nobody can be waiting in a circle: of all groups that aren't over, the one with the
smallest number has no member that waits in another, so all of them come to it once they have ended
their local steps, and it ends. Two groups that share a worker are one after the other.

The drawing stands for a coordinator that all can reach. What is said to it, some bytes, takes
neither time nor bits here.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Sequence

from desim.mixings.base import Weights
from desim.streams import Streams


class Groups(ABC):
    """The groups of one trial: a method makes one of these in `prepare`.

    Args:
        workers: how many there are.

    Attributes:
        drawn: how many groups there have been so far; the next one has this number.
        ended: how many of its groups each worker has ended.
    """

    def __init__(self, workers: int) -> None:
        self._coming: list[deque[tuple[int, Sequence[int]]]] = [deque() for _ in range(workers)]
        self.drawn = 0
        self.ended = [0] * workers

    @abstractmethod
    def draw(self, worker: int) -> Iterable[Sequence[int]]:
        """New groups, disjoint; this worker is in one of them."""

    @property
    def free(self) -> list[int]:
        """The workers that are in no group that is still to come, ascending."""
        return [worker for worker, coming in enumerate(self._coming) if not coming]

    def next(self, worker: int) -> tuple[int, Sequence[int]]:
        """The number and the members of a worker's next group: the same until it is `end`ed."""
        if not self._coming[worker]:
            for group in self.draw(worker):
                for member in group:
                    self._coming[member].append((self.drawn, group))
                self.drawn += 1
        return self._coming[worker][0]

    def end(self, worker: int) -> None:
        """The worker is done with its next group."""
        self._coming[worker].popleft()
        self.ended[worker] += 1


class Pairs(Groups):
    """Pairs of the worker that asks and a random neighbour.

    Args:
        weights: with the graph.
        streams: for the drawing.
    """

    def __init__(self, weights: Weights, streams: Streams) -> None:
        super().__init__(weights.graph.workers)
        self._neighbours, self._streams = weights.graph.neighbours, streams

    def draw(self, worker: int) -> list[list[int]]:
        """One pair."""
        row = self._neighbours[worker]
        [uniform] = self._streams.uniforms("choices", worker, self.drawn, 1)
        return [[worker, int(row[int(uniform * len(row))])]]
