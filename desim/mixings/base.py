"""What a mixing matrix is, and the checks that every one must pass."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import scipy.sparse

from desim.errors import ScenarioError
from desim.registry import Member
from desim.topologies.base import Graph

_MOST_WORKERS = 2000


@dataclass(frozen=True)
class Weights:
    """W as each worker sees it.

    Attributes:
        own: w_ii of each worker.
        neighbours: for each worker the weights w_ij, in the order of `graph.neighbours[i]`.
    """

    graph: Graph
    own: npt.NDArray[np.float64]
    neighbours: tuple[npt.NDArray[np.float64], ...]

    def matrix(self) -> scipy.sparse.csr_array:
        """W as a sparse (workers, workers) matrix."""
        n, degrees = self.graph.workers, self.graph.degrees
        rows = np.concatenate([np.arange(n), np.repeat(np.arange(n), degrees)])
        columns = np.concatenate([np.arange(n), *self.graph.neighbours])
        values = np.concatenate([self.own, *self.neighbours])
        return scipy.sparse.csr_array((values, (rows, columns)), shape=(n, n))

    def eigenvalues(self) -> tuple[float, float] | None:
        """(lambda_2, lambda_n): the second largest and the smallest eigenvalue of W.

        None for more than 2,000 workers: a dense solution takes too long, and an iterative one does
        not converge on graphs such as a large ring.
        """
        if self.graph.workers > _MOST_WORKERS:
            return None
        values = np.linalg.eigvalsh(self.matrix().toarray())
        return float(values[-2]), float(values[0])

    def spectral_gap(self) -> float | None:
        """1 - max(|lambda_2|, |lambda_n|): how fast averaging forgets; None where unknown."""
        values = self.eigenvalues()
        return None if values is None else 1.0 - max(map(abs, values))


class Mixing(Member):
    """A rule that gives the mixing matrix W of a graph: symmetric, rows that sum to 1.

    A member implements `off_diagonal`; the diagonal is what is missing to 1.
    """

    axis: ClassVar[str] = "mixings"

    @abstractmethod
    def off_diagonal(self, graph: Graph) -> tuple[npt.NDArray[np.float64], ...]:
        """For each worker the weights w_ij of its neighbours, in the graph's order."""

    def build(self, graph: Graph) -> Weights:
        """W, checked.

        Raises:
            ScenarioError: W is not symmetric, or averages nothing (a negative neighbour's weight).
        """
        neighbours = self.off_diagonal(graph)
        own = np.array([1.0 - row.sum() for row in neighbours])
        weights = Weights(graph, own, neighbours)
        matrix = weights.matrix()
        skew = abs(matrix - matrix.T).max()
        key = f"network.mixing = {self.table()}"
        if skew > 1e-12:
            raise ScenarioError(f"{key}: W must be symmetric, but |W - W'| is {skew:.2g} somewhere")
        if min(row.min() for row in neighbours) <= 0:
            raise ScenarioError(f"{key}: every neighbour's weight must be positive")
        return weights
