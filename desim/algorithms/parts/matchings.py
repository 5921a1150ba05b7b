"""Matchings of a graph, and the probabilities with which MATCHA activates them.

Wang, Sahu, Yang, Joshi, Kar 2019 (arXiv 1905.09435). L_k is the Laplacian of matching k and
L(p) = sum_k p_k L_k; matching k is active with probability p_k, each for itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from desim.streams import Streams
from desim.topologies.base import Graph

Floats = npt.NDArray[np.float64]

#: lambda_2 of the programme is that close to its optimum, relatively ...
_GAP = 1e-4

#: ... unless so many linear programmes were not enough.
_MOST_PROGRAMMES = 300

#: How far the next p is from the best so far: at first, and at least, where p has the mean 1.
_BOX, _LEAST_BOX = 0.5, 0.02

#: Eigenvectors that each step of the programme learns from.
_VECTORS = 4

#: Rounds whose partners are kept; they are drawn again when they are asked for later.
_ROUNDS = 64


@dataclass(frozen=True)
class Matchings:
    """The edges of an undirected graph, each in one matching: no two edges of it share a worker.

    Attributes:
        workers: the number of workers.
        ends: the edges, int64 (edges, 2).
        matching: for each edge the number of its matching, int64 (edges,).
    """

    workers: int
    ends: npt.NDArray[np.int64]
    matching: npt.NDArray[np.int64]

    @classmethod
    def of(cls, graph: Graph) -> "Matchings":
        """At most d_max + 1 matchings, d_max being the largest degree."""
        edges = [(i, int(j)) for i, row in enumerate(graph.neighbours) for j in row if i < j]
        colours = _Colouring(graph.workers, int(graph.degrees.max()) + 1)
        for i, j in edges:
            colours.add(i, j)
        numbers = np.array([colours.of(i, j) for i, j in edges])
        return cls(graph.workers, np.array(edges), np.unique(numbers, return_inverse=True)[1])

    @property
    def count(self) -> int:
        """The number of matchings."""
        return int(self.matching.max()) + 1

    def laplacian(self, factors: Floats) -> Floats:
        """sum_k factors[k] * L_k, shape (workers, workers)."""
        i, j = self.ends.T
        weights = factors[self.matching]
        matrix = np.zeros((self.workers, self.workers))
        matrix[i, j] = matrix[j, i] = -weights
        np.fill_diagonal(matrix, -matrix.sum(axis=1))
        return matrix

    def forms(self, vectors: Floats) -> Floats:
        """v' L_k v for each of some vectors, shape (vectors, matchings)."""
        i, j = self.ends.T
        squares = (vectors[:, i] - vectors[:, j]) ** 2
        return np.array([np.bincount(self.matching, row, self.count) for row in squares])


class _Colouring:
    """A proper colouring of edges (Misra, Gries 1992), one edge after another."""

    def __init__(self, workers: int, colours: int) -> None:
        #: Of each worker by colour, to whom its edge of that colour goes; -1 where it has none.
        self._over = [[-1] * colours for _ in range(workers)]

    def of(self, i: int, j: int) -> int:
        """The colour of an edge that was added."""
        return self._over[i].index(j)

    def add(self, i: int, j: int) -> None:
        """Colours one more edge; others may change theirs."""
        for colour, ends in enumerate(zip(self._over[i], self._over[j], strict=True)):
            if ends == (-1, -1):
                return self._paint(i, j, colour)
        fan = self._fan(i, j)
        there, here = self._over[fan[-1]].index(-1), self._over[i].index(-1)
        self._swap(i, there, here)
        # Now no edge of i has the colour `there`.
        place = next(k for k, end in enumerate(fan) if self._over[end][there] < 0)
        colours = [self.of(i, end) for end in fan[1 : place + 1]]
        for end, colour in zip(fan[1 : place + 1], colours, strict=True):
            self._over[i][colour] = self._over[end][colour] = -1
        for end, colour in zip(fan[: place + 1], [*colours, there], strict=True):
            self._paint(i, end, colour)
        return None

    def _fan(self, i: int, j: int) -> list[int]:
        """j and as many neighbours of i as possible, each by a colour that the one before lacks."""
        fan = [j]
        while True:
            lacking = zip(self._over[i], self._over[fan[-1]], strict=True)
            for end, other in lacking:
                if end >= 0 and other < 0 and end not in fan:
                    fan.append(end)
                    break
            else:
                return fan

    def _swap(self, i: int, first: int, second: int) -> None:
        """Exchanges two colours along the path from i that begins with the first."""
        path = [i]
        colour, other = first, second
        while (end := self._over[path[-1]][colour]) >= 0:
            path.append(end)
            colour, other = other, colour
        for end in path:
            over = self._over[end]
            over[first], over[second] = over[second], over[first]

    def _paint(self, i: int, j: int, colour: int) -> None:
        self._over[i][colour], self._over[j][colour] = j, i


def best_probabilities(matchings: Matchings, budget: float) -> Floats:
    """The p that maximises lambda_2(L(p)) with sum_k p_k = M budget and 0 <= p_k <= 1.

    The paper's programme, which has <= in place of =: lambda_2 grows with every p_k, so the budget
    is spent anyway. It is solved by cutting planes: lambda_2 is the least of v' L(p) v over unit
    vectors v orthogonal to 1, and each eigenvector that was found bounds it by a linear function of
    p. The next p is the best for these bounds in a box around the best so far.

    Args:
        matchings: of a connected graph.
        budget: the mean share of the matchings that is active, in (0, 1].

    Returns:
        p, shape (matchings,); its lambda_2 is the optimum but for a relative 1e-4.
    """
    from scipy.optimize import linprog

    # In units of the budget, and of lambda_2 with equal probabilities: solvers have absolute
    # tolerances.
    count, most = matchings.count, 1.0 / budget
    unit, bounds = _second(matchings, np.ones(count))
    best, value, bounds = np.ones(count), 1.0, bounds / unit
    limit, box = np.inf, _BOX
    for _ in range(_MOST_PROGRAMMES):
        found = linprog(
            np.append(np.zeros(count), -1.0),  # maximise t, which comes after p
            A_ub=np.column_stack([-bounds, np.ones(len(bounds))]),
            b_ub=np.zeros(len(bounds)),
            A_eq=[[*np.ones(count), 0.0]],
            b_eq=[count],
            bounds=[*np.clip(np.column_stack([best - box, best + box]), 0.0, most), (0, None)],
        )
        # Any mean of the bounds is one, in the box and outside; the dual solution gives a good one.
        limit = min(limit, _highest(-found.ineqlin.marginals @ bounds, count, most))
        there = np.clip(found.x[:-1], 0.0, most)
        reached, new = _second(matchings, there)
        bounds = np.concatenate([bounds, new / unit])
        if reached / unit > value:
            best, value, box = there, reached / unit, min(most, 1.5 * box)
        else:
            box = max(0.6 * box, _LEAST_BOX)
        if limit - value <= _GAP * limit:
            break
    return np.clip(budget * best, 0.0, 1.0)


def _second(matchings: Matchings, p: Floats) -> tuple[float, Floats]:
    """lambda_2(L(p)), and v' L_k v for eigenvectors v of the smallest eigenvalues from it on."""
    n = matchings.workers
    # The vector 1 gets the largest eigenvalue: others of 0 can't be mistaken for it.
    shifted = matchings.laplacian(p) + 2.0 * matchings.count / n
    values, vectors = np.linalg.eigh(shifted)
    return float(values[0]), matchings.forms(vectors.T[: min(_VECTORS, n - 1)])


def _highest(slope: Floats, total: float, most: float) -> float:
    """The largest slope @ p over all p with this sum and 0 <= p_k <= most."""
    filled = np.clip(total - most * np.arange(len(slope)), 0.0, most)
    return float(filled @ -np.sort(-slope))


def mixing_step(matchings: Matchings, p: Floats) -> tuple[float, float]:
    """The a that makes W_t = I - a sum_(k active) L_k forget fastest.

    It minimises rho(a), the spectral norm of E[W_t' W_t] - 11'/n, which is convex in a:
        E[W_t' W_t] = I - 2 a L(p) + a^2 (L(p)^2 + 2 sum_k p_k (1 - p_k) L_k).

    Args:
        matchings: of a connected graph.
        p: their probabilities.

    Returns:
        a, and rho(a).
    """
    from scipy.optimize import minimize_scalar

    mean = matchings.laplacian(p)
    square = mean @ mean + 2.0 * matchings.laplacian(p * (1.0 - p))
    identity = np.eye(matchings.workers) - 1.0 / matchings.workers

    def rho(a: float) -> float:
        return float(np.linalg.eigvalsh(identity - 2.0 * a * mean + a * a * square)[-1])

    # From the largest eigenvector's share alone, rho is above 1 there.
    most = 2.0 / np.linalg.eigvalsh(mean)[-1]
    precise = {"xatol": 1e-7 * most}
    found = minimize_scalar(rho, bounds=(0.0, most), method="bounded", options=precise)
    return float(found.x), float(found.fun)


class Activations:
    """Which matchings are active in which round: random, and known to all workers.

    Args:
        matchings: of the graph.
        probabilities: of each to be active.
        streams: for the draws.

    Attributes:
        partners: gives for a round's number each worker's partners, ascending.
    """

    def __init__(self, matchings: Matchings, probabilities: Floats, streams: Streams) -> None:
        self._matchings, self._probabilities, self._streams = matchings, probabilities, streams
        self.partners = lru_cache(_ROUNDS)(self._partners)

    def active(self, round: int) -> npt.NDArray[np.int64]:
        """The edges of the matchings that are active in a round, (edges, 2)."""
        count = self._matchings.count
        # Named as `Worker.draw(name, of=workers)` would, one name a round and matching.
        names = round * count + np.arange(count)
        draws = self._streams.uniforms("choices", self._matchings.workers, names)
        return self._matchings.ends[(draws < self._probabilities)[self._matchings.matching]]

    def _partners(self, round: int) -> Sequence[list[int]]:
        partners: list[list[int]] = [[] for _ in range(self._matchings.workers)]
        for i, j in self.active(round).tolist():
            partners[i].append(j)
            partners[j].append(i)
        return partners
