"""What a mixing matrix is, and the checks that every one must pass."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from desim.errors import ScenarioError
from desim.schema.own_code import is_own
from desim.schema.phrases import short
from desim.schema.registry import Member
from desim.topologies.base import Graph

if TYPE_CHECKING:
    import scipy.sparse


_MOST_WORKERS = 2000
_TOLERANCE = 1e-12


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
        import scipy.sparse

        n, degrees = self.graph.workers, self.graph.degrees
        rows = np.concatenate([np.arange(n), np.repeat(np.arange(n), degrees)])
        columns = np.concatenate([np.arange(n), *self.graph.neighbours])
        values = np.concatenate([self.own, *self.neighbours])
        return scipy.sparse.csr_array((values, (rows, columns)), shape=(n, n))

    def asymmetry(self) -> float:
        """The largest |w_ij - w_ji|."""
        matrix = self.matrix()
        return float(abs(matrix - matrix.T).max())

    @property
    def doubly_stochastic(self) -> bool:
        """Whether rows and columns of W sum to 1, so that plain averaging keeps the mean."""
        matrix = self.matrix()
        sums = np.concatenate([matrix.sum(axis=1), _column_sums(matrix)])
        return bool(abs(sums - 1).max() <= _TOLERANCE)

    def eigenvalues(self) -> tuple[float, float] | None:
        """(lambda_2, lambda_n): the second largest and the smallest eigenvalue of W.

        None where W is not symmetric, since they may be complex then; and for more than 2,000
        workers: a dense solution takes too long, and an iterative one does not converge on graphs
        such as a large ring.
        """
        if self.graph.workers > _MOST_WORKERS or self.asymmetry() > _TOLERANCE:
            return None
        values = np.linalg.eigvalsh(self.matrix().toarray())
        return float(values[-2]), float(values[0])

    def spectral_gap(self) -> float | None:
        """1 - |lambda|, of the eigenvalue that has the second largest modulus.

        It tells how fast averaging (or push-sum) forgets; None for more than 2,000 workers.
        """
        if self.graph.workers > _MOST_WORKERS:
            return None
        values = self.eigenvalues()
        if values is not None:
            return 1.0 - max(map(abs, values))
        return 1.0 - float(np.sort(abs(np.linalg.eigvals(self.matrix().toarray())))[-2])


def _rows(key: str, given: Any, graph: Graph) -> tuple[npt.NDArray[np.float64], ...]:
    """Weights as rows of floats: one finite number for each neighbour."""
    if not isinstance(given, list | tuple | np.ndarray) or len(given) != graph.workers:
        count = f"{len(given)} rows" if hasattr(given, "__len__") else short(given)
        raise ScenarioError(
            f"{key}: gives {count} of weights; must be one for each of {graph.workers} workers"
        )
    rows = tuple(map(np.asarray, given))
    for worker, (row, degree) in enumerate(zip(rows, graph.degrees.tolist(), strict=True)):
        if row.shape != (degree,) or row.dtype.kind not in "iuf":
            raise ScenarioError(
                f"{key}: gives worker {worker} weights of shape {row.shape}, {row.dtype}; must be "
                f"one number for each of its {degree} neighbours"
            )
        if not np.isfinite(row.sum()):
            raise ScenarioError(f"{key}: worker {worker}'s weights must be finite: {short(row)}")
    return tuple(row.astype(np.float64, copy=False) for row in rows)


class LaterWeights(Weights):
    """W that is built, or refused, when it is first asked for: not every method averages.

    Args:
        graph: the graph.
        build: gives W on it; raises ScenarioError where there is none.
    """

    def __init__(self, graph: Graph, build: Callable[[], Weights]) -> None:
        object.__setattr__(self, "graph", graph)
        object.__setattr__(self, "_build", build)

    @cached_property
    def _built(self) -> Weights:
        build: Callable[[], Weights] = self.__dict__["_build"]
        return build()

    @property
    def own(self) -> npt.NDArray[np.float64]:
        """w_ii of each worker."""
        return self._built.own

    @property
    def neighbours(self) -> tuple[npt.NDArray[np.float64], ...]:
        """For each worker the weights w_ij."""
        return self._built.neighbours


def _column_sums(matrix: scipy.sparse.csr_array) -> npt.NDArray[np.float64]:
    # By columns first: scipy then adds pairwise, not 100,000 leaves of a star one after the other.
    sums: npt.NDArray[np.float64] = matrix.tocsc().sum(axis=0)
    return sums


class Mixing(Member):
    """A rule that gives the mixing matrix W of a graph.

    W is symmetric with rows that sum to 1, or, where a member sets `symmetric` to False, has
    columns that sum to 1, for push-sum methods. A member implements `off_diagonal`; the diagonal is
    what is missing to 1.
    """

    axis: ClassVar[str] = "mixings"

    #: Whether W is symmetric, and so needs an undirected graph.
    symmetric: ClassVar[bool] = True

    @abstractmethod
    def off_diagonal(self, graph: Graph) -> tuple[npt.NDArray[np.float64], ...]:
        """For each worker the weights w_ij of its neighbours, in the graph's order."""

    def build(self, graph: Graph) -> Weights:
        """W, checked.

        Raises:
            ScenarioError: a symmetric W on a directed graph; weights that aren't one finite
                number for each neighbour; W is not what `symmetric` says; or it averages nothing
                (a negative neighbour's weight), or drives models apart (one's own, too large).
        """
        key = f"network.mixing = {self.table()}"
        if self.symmetric and graph.directed:
            raise ScenarioError(
                f"{key}: gives a symmetric W, which a directed graph can't have; use mixing = "
                "'out-degree', or an undirected topology"
            )
        neighbours = self.off_diagonal(graph)
        if is_own(self):
            neighbours = _rows(key, neighbours, graph)
        if min(row.min() for row in neighbours) <= 0:
            raise ScenarioError(f"{key}: every neighbour's weight must be positive")
        if self.symmetric:
            weights = Weights(graph, np.array([1.0 - row.sum() for row in neighbours]), neighbours)
            if (skew := weights.asymmetry()) > _TOLERANCE:
                raise ScenarioError(
                    f"{key}: W must be symmetric, but |W - W'| is {skew:.2g} somewhere"
                )
            values = weights.eigenvalues() if is_own(self) else None
            if values and max(map(abs, values)) > 1 + _TOLERANCE:
                raise ScenarioError(
                    f"{key}: W has the eigenvalue {max(values, key=abs):.4g}; must be from -1 to "
                    "1, else averaging drives models apart: give neighbours less weight"
                )
            return weights
        sent = _column_sums(Weights(graph, np.zeros(graph.workers), neighbours).matrix())
        if sent.max() >= 1:
            raise ScenarioError(
                f"{key}: the weights in a column must sum to less than 1, so that the sender keeps "
                f"some, but worker {sent.argmax()}'s sum to {sent.max():.4g}"
            )
        return Weights(graph, 1.0 - sent, neighbours)
