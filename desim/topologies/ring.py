"""Ring: every worker has two neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from desim.topologies.base import Topology

if TYPE_CHECKING:
    import networkx as nx


class Ring(Topology):
    """Each worker is linked to the next and the last to the first."""

    kind: ClassVar[str] = "ring"

    def draw(self, workers: int, random: np.random.Generator) -> nx.Graph:
        """The cycle on all workers."""
        import networkx as nx

        graph = nx.cycle_graph(workers)
        graph.remove_edges_from(list(nx.selfloop_edges(graph)))
        return graph
