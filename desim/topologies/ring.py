"""Ring: every worker has two neighbours."""

from typing import ClassVar

import networkx as nx
import numpy as np

from desim.topologies.base import Topology


class Ring(Topology):
    """Each worker is linked to the next and the last to the first."""

    kind: ClassVar[str] = "ring"

    def draw(self, workers: int, random: np.random.Generator) -> nx.Graph:
        """The cycle on all workers."""
        graph = nx.cycle_graph(workers)
        graph.remove_edges_from(list(nx.selfloop_edges(graph)))
        return graph
