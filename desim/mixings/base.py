"""What a mixing matrix is, and the checks that every one must pass."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import scipy.sparse
import scipy.sparse.linalg

from desim.errors import ScenarioError
from desim.registry import Member
from desim.topologies.base import Graph

_DENSE_UP_TO = 500


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

    def eigenvalues(self) -> tuple[float, float]:
        """(lambda_2, lambda_n): the second largest and the smallest eigenvalue of W."""
        matrix = self.matrix()
        if self.graph.workers <= _DENSE_UP_TO:
            values = np.linalg.eigvalsh(matrix.toarray())
            return float(values[-2]), float(values[0])
        # A fixed starting vector: ARPACK would draw one from a global generator.
        start = np.cos(np.arange(self.graph.workers))
        top = scipy.sparse.linalg.eigsh(
            matrix, k=2, which="LA", v0=start, return_eigenvectors=False
        )
        low = scipy.sparse.linalg.eigsh(
            matrix, k=1, which="SA", v0=start, return_eigenvectors=False
        )
        return float(min(top)), float(low[0])

    def spectral_gap(self) -> float:
        """1 - beta with beta = max(|lambda_2|, |lambda_n|): how fast averaging forgets."""
        return 1.0 - max(abs(value) for value in self.eigenvalues())


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
