"""Erdos-Renyi graph: every edge exists with probability p."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from desim.topologies.base import Topology

if TYPE_CHECKING:
    import networkx as nx


class ErdosRenyi(Topology):
    """Every pair is linked with probability p, independently; redrawn until connected.

    Attributes:
        p: the probability of an edge, 0 < p <= 1.
    """

    kind: ClassVar[str] = "erdos-renyi"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"p": 0.4}, {"p": 1.0})
    attempts: ClassVar[int] = 100

    p: Annotated[float, Field(gt=0, le=1)]

    def links(self, workers: int) -> float:
        """p n (n - 1)."""
        return self.p * workers * (workers - 1)

    def draw(self, workers: int, random: np.random.Generator) -> nx.Graph:
        """One G(n, p), in time proportional to its edges."""
        import networkx as nx

        return nx.fast_gnp_random_graph(workers, self.p, seed=random)
