"""Complete graph: everyone is everyone's neighbour."""

from typing import ClassVar

import networkx as nx
import numpy as np

from desim.topologies.base import Topology


class Complete(Topology):
    """Every pair of workers is linked."""

    kind: ClassVar[str] = "complete"

    def draw(self, workers: int, random: np.random.Generator) -> nx.Graph:
        """The complete graph."""
        return nx.complete_graph(workers)
