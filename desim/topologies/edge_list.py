"""Edge list: a graph read from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from desim.errors import ScenarioError
from desim.schema.paths import regular
from desim.topologies.base import Topology

if TYPE_CHECKING:
    import networkx as nx


class EdgeList(Topology):
    """One edge a line: two worker numbers, counted from 0; '#' starts a comment.

    Attributes:
        file: the path; a relative one is meant from the scenario's folder, or from the working
            folder for a scenario built in code.
        directed: whether a line "a b" means that a sends to b only, rather than each to the other.
    """

    kind: ClassVar[str] = "edge-list"

    file: str
    directed: bool = False

    def draw(self, workers: int, random: np.random.Generator) -> nx.Graph:
        """The graph in the file.

        Raises:
            ScenarioError: the file is missing, has a bad line, or names a worker that isn't there.
        """
        import networkx as nx

        key = f"network.topology.file = {self.file!r}"
        try:
            lines = regular(self.file).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:  # ValueError: no text, or no path
            raise ScenarioError(f"{key}: can't be read ({error})") from None
        graph = nx.empty_graph(workers, create_using=nx.DiGraph if self.directed else nx.Graph)
        for number, line in enumerate(lines, 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            if len(words) != 2 or not all(word.isdecimal() for word in words):
                raise ScenarioError(f"{key}, line {number}: {line!r} must be two worker numbers")
            a, b = map(int, words)
            if a == b or max(a, b) >= workers:
                raise ScenarioError(
                    f"{key}, line {number}: {line!r} must name two different workers below "
                    f"cluster.workers = {workers}"
                )
            graph.add_edge(a, b)
        return graph
