"""Uniform weights: w_ij = 1 / (d + 1) on a regular graph of degree d."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from desim.errors import ScenarioError
from desim.mixings.base import Mixing
from desim.topologies.base import Graph


class Uniform(Mixing):
    """The plain mean of one's own and the neighbours' models; for regular graphs only."""

    kind: ClassVar[str] = "uniform"

    def off_diagonal(self, graph: Graph) -> tuple[npt.NDArray[np.float64], ...]:
        """1 / (d + 1) for every neighbour.

        Raises:
            ScenarioError: the degrees differ, so that W would not be symmetric.
        """
        degrees = graph.degrees
        if degrees.min() != degrees.max():
            raise ScenarioError(
                "network.mixing = {'kind': 'uniform'}: needs a graph in which all degrees are the "
                f"same, here they go from {degrees.min()} to {degrees.max()}; use metropolis"
            )
        return tuple(np.full(len(row), 1.0 / (len(row) + 1)) for row in graph.neighbours)
