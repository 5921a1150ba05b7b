"""Out-degree weights: w_ij = 1 / (1 + out-degree of j) for every j that sends to i.

Kempe, Dobra, Gehrke 2003 ('Gossip-based computation of aggregate information') for averages;
Nedic, Olshevsky 2015 (arXiv 1303.2263) and Assran et al. 2019 (arXiv 1811.10792) for training.
"""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from desim.mixings.base import Mixing
from desim.topologies.base import Graph


class OutDegree(Mixing):
    """Each worker shares what it has equally among itself and those that it sends to.

    Columns sum to 1 and rows need not: for push-sum methods, on directed and undirected graphs.
    """

    kind: ClassVar[str] = "out-degree"
    symmetric: ClassVar[bool] = False

    def off_diagonal(self, graph: Graph) -> tuple[npt.NDArray[np.float64], ...]:
        """1 / (1 + the sender's out-degree)."""
        shares = 1.0 / (1.0 + graph.out_degrees.astype(np.float64))
        return tuple(shares[row] for row in graph.neighbours)
