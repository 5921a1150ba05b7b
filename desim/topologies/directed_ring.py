"""Directed ring: every worker sends to the next one only."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from desim.topologies.base import Topology

if TYPE_CHECKING:
    import networkx as nx


class DirectedRing(Topology):
    """Worker i sends to i + 1 (mod n) and receives from i - 1."""

    kind: ClassVar[str] = "directed-ring"

    def draw(self, workers: int, random: np.random.Generator) -> nx.DiGraph:
        """The directed cycle on all workers."""
        import networkx as nx

        graph = nx.cycle_graph(workers, create_using=nx.DiGraph)
        graph.remove_edges_from(list(nx.selfloop_edges(graph)))
        return graph
