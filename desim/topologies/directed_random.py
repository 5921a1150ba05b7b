"""Random directed graph: everyone sends to the same number of others, drawn at random."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from desim.errors import ScenarioError
from desim.topologies.base import Topology

if TYPE_CHECKING:
    import networkx as nx


class DirectedRandom(Topology):
    """Every worker sends to the next on a random cycle through all, and to degree - 1 others.

    The others are drawn independently for each worker, so in-degrees differ. The cycle makes the
    graph strongly connected: without it, a worker in about e^degree would receive from nobody.

    Attributes:
        degree: the number of workers that each one sends to; less than the number of workers.
    """

    kind: ClassVar[str] = "directed-random"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"degree": 1}, {"degree": 3})

    degree: Annotated[int, Field(ge=1)]

    def links(self, workers: int) -> float:
        """The degree times n; a degree that is too large is told by `draw`."""
        return self.degree * workers if self.degree < workers else 0.0

    def draw(self, workers: int, random: np.random.Generator) -> nx.DiGraph:
        """One random graph.

        Raises:
            ScenarioError: there are not so many others to send to.
        """
        import networkx as nx

        if self.degree >= workers:
            raise ScenarioError(
                f"network.topology.degree = {self.degree}: must be less than the {workers} workers"
            )
        cycle = random.permutation(workers).tolist()
        graph = nx.empty_graph(workers, create_using=nx.DiGraph)
        for place, worker in enumerate(cycle):
            others = random.choice(workers - 2, self.degree - 1, replace=False).tolist()
            for ahead in (1, *(2 + other for other in others)):
                graph.add_edge(worker, cycle[(place + ahead) % workers])
        return graph
