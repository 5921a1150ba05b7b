"""Complete graph: everyone is everyone's neighbour."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from desim.topologies.base import Topology

if TYPE_CHECKING:
    import networkx as nx


class Complete(Topology):
    """Every pair of workers is linked."""

    kind: ClassVar[str] = "complete"

    def links(self, workers: int) -> float:
        """n (n - 1)."""
        return workers * (workers - 1)

    def draw(self, workers: int, random: np.random.Generator) -> nx.Graph:
        """The complete graph."""
        import networkx as nx

        return nx.complete_graph(workers)
