"""Directed ring: every worker sends to the next one only."""

from typing import ClassVar

import networkx as nx
import numpy as np

from desim.topologies.base import Topology


class DirectedRing(Topology):
    """Worker i sends to i + 1 (mod n) and receives from i - 1."""

    kind: ClassVar[str] = "directed-ring"

    def draw(self, workers: int, random: np.random.Generator) -> nx.DiGraph:
        """The directed cycle on all workers."""
        graph = nx.cycle_graph(workers, create_using=nx.DiGraph)
        graph.remove_edges_from(list(nx.selfloop_edges(graph)))
        return graph
