"""Exponential graph: links over distances 1, 2, 4, 8, ..."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from desim.topologies.base import Topology

if TYPE_CHECKING:
    import networkx as nx


class Exponential(Topology):
    """Worker i is linked to i ± 2^k (mod n) for every 2^k < n.

    The undirected form of the static exponential graph (Assran et al. 2019, arXiv 1811.10792), so
    that symmetric mixing matrices exist on it.
    """

    kind: ClassVar[str] = "exponential"

    def draw(self, workers: int, random: np.random.Generator) -> nx.Graph:
        """The graph with about 2 log2(n) neighbours per worker."""
        import networkx as nx

        hops = [2**k for k in range(max(1, (workers - 1).bit_length())) if 2**k < workers]
        return nx.circulant_graph(workers, hops)
