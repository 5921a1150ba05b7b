"""Star: worker 0 is linked to all others."""

from typing import ClassVar

import networkx as nx
import numpy as np

from desim.topologies.base import Topology


class Star(Topology):
    """Worker 0 is the hub; the others know only the hub."""

    kind: ClassVar[str] = "star"

    def draw(self, workers: int, random: np.random.Generator) -> nx.Graph:
        """The star with its centre at worker 0."""
        return nx.star_graph(workers - 1)
