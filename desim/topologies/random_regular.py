"""Random regular graph: everyone has the same number of neighbours."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from desim.errors import ScenarioError
from desim.topologies.base import Topology

if TYPE_CHECKING:
    import networkx as nx


class RandomRegular(Topology):
    """A graph drawn among those in which every worker has `degree` neighbours.

    Attributes:
        degree: neighbours per worker; less than the number of workers, and degree x workers even.
    """

    kind: ClassVar[str] = "random-regular"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"degree": 3}, {"degree": 6})
    attempts: ClassVar[int] = 100

    degree: Annotated[int, Field(ge=1)]

    def links(self, workers: int) -> float:
        """The degree times n; a degree that is too large is told by `draw`."""
        return self.degree * workers if self.degree < workers else 0.0

    def draw(self, workers: int, random: np.random.Generator) -> nx.Graph:
        """One random regular graph.

        Raises:
            ScenarioError: there is no such graph on so many workers.
        """
        import networkx as nx

        if self.degree >= workers or self.degree * workers % 2:
            raise ScenarioError(
                f"network.topology.degree = {self.degree}: must be less than the {workers} workers,"
                " and degree x workers even"
            )
        # networkx asks a numpy generator for one small number at a time, which takes it ages.
        return nx.random_regular_graph(
            self.degree, workers, seed=Random(int(random.integers(2**63)))
        )
