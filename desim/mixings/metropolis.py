"""Metropolis-Hastings weights: w_ij = 1 / (1 + max(d_i, d_j)).

Xiao, Boyd, Kim 2007 ('Distributed average consensus with least-mean-square deviation').
"""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from desim.mixings.base import Mixing
from desim.topologies.base import Graph


class Metropolis(Mixing):
    """w_ij = 1 / (1 + max(d_i, d_j)): needs only the neighbours' degrees, fits any graph."""

    kind: ClassVar[str] = "metropolis"

    def off_diagonal(self, graph: Graph) -> tuple[npt.NDArray[np.float64], ...]:
        """1 / (1 + the larger degree of the two ends)."""
        degrees = graph.degrees
        return tuple(
            1.0 / (1.0 + np.maximum(degrees[i], degrees[row]))
            for i, row in enumerate(graph.neighbours)
        )
