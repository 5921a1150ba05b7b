"""What a topology is, and the graph that a trial uses."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import networkx as nx
import numpy as np
import numpy.typing as npt

from desim.errors import ScenarioError
from desim.registry import Member


@dataclass(frozen=True)
class Graph:
    """A connected undirected graph without self loops.

    Attributes:
        neighbours: for each worker its neighbours, int64, ascending.
    """

    neighbours: tuple[npt.NDArray[np.int64], ...]

    @property
    def workers(self) -> int:
        """The number of workers."""
        return len(self.neighbours)

    @property
    def degrees(self) -> npt.NDArray[np.int64]:
        """The number of neighbours of each worker."""
        return np.array([len(row) for row in self.neighbours])


class Topology(Member):
    """A graph over the workers: who sends to whom.

    A member implements `draw`; `build` refuses a graph that is not connected.
    """

    axis: ClassVar[str] = "topologies"

    #: How many graphs `build` draws before it gives up; 1 where the graph isn't random.
    attempts: ClassVar[int] = 1

    @abstractmethod
    def draw(self, workers: int, random: np.random.Generator) -> nx.Graph:
        """One graph on the nodes 0 .. workers - 1."""

    def build(self, workers: int, random: np.random.Generator) -> Graph:
        """A connected graph.

        Raises:
            ScenarioError: none of `attempts` graphs was connected.
        """
        for _ in range(self.attempts):
            graph = self.draw(workers, random)
            if nx.is_connected(graph):
                return Graph(tuple(np.array(sorted(graph[i]), np.int64) for i in range(workers)))
        drawn = f"{self.attempts} graphs were drawn and none" if self.attempts > 1 else "the graph"
        parts = nx.number_connected_components(graph)
        raise ScenarioError(
            f"network.topology = {self.table()}: {drawn} {'was' if self.attempts > 1 else 'is not'}"
            f" connected on {workers} workers ({parts} parts"
            f"{' in the last one' if self.attempts > 1 else ''}); every worker must be reachable: "
            "add edges"
        )
