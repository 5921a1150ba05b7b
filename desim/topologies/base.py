"""What a topology is, and the graph that a trial uses."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from desim.errors import ScenarioError
from desim.schema.own_code import is_own
from desim.schema.phrases import short
from desim.schema.registry import Member

if TYPE_CHECKING:
    import networkx as nx


#: Directed links take some 500 bytes each, from the graph's edges to what is on its way on them.
MOST_LINKS = 20_000_000


@dataclass(frozen=True)
class Graph:
    """A connected graph without self loops; a directed one is strongly connected.

    Attributes:
        neighbours: for each worker those that it receives from, int64, ascending.
        targets: for each worker those that it sends to, int64, ascending; left out, they are its
            neighbours.
    """

    neighbours: tuple[npt.NDArray[np.int64], ...]
    targets: tuple[npt.NDArray[np.int64], ...] = ()

    def __post_init__(self) -> None:
        # Edges that all go both ways are an undirected graph, and take symmetric matrices as such.
        if not self.targets or all(map(np.array_equal, self.neighbours, self.targets)):
            object.__setattr__(self, "targets", self.neighbours)

    @property
    def workers(self) -> int:
        """The number of workers."""
        return len(self.neighbours)

    @property
    def directed(self) -> bool:
        """Whether some worker sends to one that it doesn't receive from."""
        return self.targets is not self.neighbours

    @property
    def degrees(self) -> npt.NDArray[np.int64]:
        """The number of neighbours of each worker: its in-degree where the graph is directed."""
        return np.array([len(row) for row in self.neighbours])

    @property
    def out_degrees(self) -> npt.NDArray[np.int64]:
        """The number of workers that each worker sends to."""
        return np.array([len(row) for row in self.targets])


class Topology(Member):
    """A graph over the workers: who sends to whom.

    A member implements `draw`; `build` refuses a graph that is not connected.
    """

    axis: ClassVar[str] = "topologies"

    #: How many graphs `build` draws before it gives up; 1 where the graph isn't random.
    attempts: ClassVar[int] = 1

    @abstractmethod
    def draw(self, workers: int, random: np.random.Generator) -> nx.Graph:
        """One graph on the nodes 0 .. workers - 1; i -> j in an nx.DiGraph means: i sends to j."""

    def links(self, workers: int) -> float:
        """How many directed links there will be, in the mean, where that is many; else 0."""
        return 0.0

    def check_links(self, workers: int) -> None:
        """Raises ScenarioError where there would be too many links, before anything is drawn."""
        links = self.links(workers)
        if links > MOST_LINKS:
            raise ScenarioError(
                f"network.topology = {self.table()}: {workers:,} workers have some {links:,.0f} "
                f"directed links; must be at most {MOST_LINKS:,}, with fewer workers or edges"
            )

    def build(self, workers: int, random: np.random.Generator) -> Graph:
        """A connected graph; strongly connected where `draw` gives a directed one.

        Raises:
            ScenarioError: too many links; none of `attempts` graphs was connected; `draw` gives no
                graph on these nodes, or one with self loops.
        """
        self.check_links(workers)
        import networkx as nx

        for _ in range(max(1, self.attempts)):
            graph = self._drawn(workers, random) if is_own(self) else self.draw(workers, random)
            if graph.is_directed():
                if nx.is_strongly_connected(graph):
                    return Graph(_rows(graph.pred, workers), _rows(graph.succ, workers))
            elif nx.is_connected(graph):
                return Graph(_rows(graph.adj, workers))
        if graph.is_directed():
            strongly, parts = "strongly ", nx.number_strongly_connected_components(graph)
        else:
            strongly, parts = "", nx.number_connected_components(graph)
        drawn = f"{self.attempts} graphs were drawn and none" if self.attempts > 1 else "the graph"
        raise ScenarioError(
            f"network.topology = {self.table()}: {drawn} {'was' if self.attempts > 1 else 'is not'}"
            f" {strongly}connected on {workers} workers ({parts} parts"
            f"{' in the last one' if self.attempts > 1 else ''}); every worker must be reachable"
            f"{' from every other' if strongly else ''}: add edges"
        )

    def _drawn(self, workers: int, random: np.random.Generator) -> nx.Graph:
        """A graph, checked: without self loops, on the workers' numbers."""
        import networkx as nx

        graph: Any = self.draw(workers, random)
        key = f"network.topology = {self.table()}"
        if not isinstance(graph, nx.Graph):
            raise ScenarioError(f"{key}: draws {short(graph)}; must be a networkx Graph or DiGraph")
        strange = [node for node in graph if node not in range(workers)]
        if strange or len(graph) != workers:
            which = f", {short(strange[0])} among them" if strange else ""
            raise ScenarioError(
                f"{key}: draws {len(graph)} nodes{which}; must be those from 0 to {workers - 1}"
            )
        for node in nx.nodes_with_selfloops(graph):
            raise ScenarioError(
                f"{key}: links worker {node} with itself; must have no self loops, every worker "
                "has its own model anyway"
            )
        return graph


def _rows(adjacent: Mapping[int, Iterable[int]], workers: int) -> tuple[npt.NDArray[np.int64], ...]:
    return tuple(np.array(sorted(adjacent[i]), np.int64) for i in range(workers))
