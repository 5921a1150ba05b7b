"""Directed exponential graph: messages over distances 1, 2, 4, 8, ... in one direction."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from desim.topologies.base import Topology

if TYPE_CHECKING:
    import networkx as nx


class DirectedExponential(Topology):
    """Worker i sends to i + 2^k (mod n) for every 2^k < n.

    The static directed exponential graph of Assran et al. 2019 (arXiv 1811.10792). Their one-peer
    variant takes the hops in turn: 1, 2, 4, ... `Graph.targets` are ascending and so lose this
    order; (target - i) mod n is a target's hop, and sorting by it brings the order back.
    """

    kind: ClassVar[str] = "directed-exponential"

    def draw(self, workers: int, random: np.random.Generator) -> nx.DiGraph:
        """The graph with ceil(log2(n)) targets per worker."""
        import networkx as nx

        hops = [2**k for k in range((workers - 1).bit_length())]
        graph = nx.empty_graph(workers, create_using=nx.DiGraph)
        graph.add_edges_from((i, (i + hop) % workers) for i in range(workers) for hop in hops)
        return graph
