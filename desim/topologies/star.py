"""Star: worker 0 is linked to all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from desim.topologies.base import Topology

if TYPE_CHECKING:
    import networkx as nx


class Star(Topology):
    """Worker 0 is the hub; the others know only the hub."""

    kind: ClassVar[str] = "star"

    def draw(self, workers: int, random: np.random.Generator) -> nx.Graph:
        """The star with its centre at worker 0."""
        import networkx as nx

        return nx.star_graph(workers - 1)
