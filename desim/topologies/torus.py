"""Torus: a grid whose opposite sides are joined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from desim.errors import ScenarioError
from desim.topologies.base import Topology

if TYPE_CHECKING:
    import networkx as nx


class Torus(Topology):
    """A rows x columns grid with wrap-around; worker i sits at (i // columns, i % columns).

    Attributes:
        rows: the number of rows; left out, the most square shape that fits.
    """

    kind: ClassVar[str] = "torus"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"rows": 2})

    rows: Annotated[int, Field(ge=2)] | None = None

    def draw(self, workers: int, random: np.random.Generator) -> nx.Graph:
        """The torus.

        Raises:
            ScenarioError: the workers don't fill a grid of at least 2 x 2.
        """
        import networkx as nx

        rows = self.rows or max(
            (r for r in range(1, int(workers**0.5) + 1) if workers % r == 0), default=1
        )
        if workers % rows or rows < 2 or workers // rows < 2:
            raise ScenarioError(
                f"network.topology.rows = {rows}: {workers} workers don't fill a grid of {rows} "
                "rows and at least 2 columns; change cluster.workers or rows, or use a ring"
            )
        grid = nx.grid_2d_graph(rows, workers // rows, periodic=True)
        grid.remove_edges_from(list(nx.selfloop_edges(grid)))
        return nx.convert_node_labels_to_integers(grid, ordering="sorted")
