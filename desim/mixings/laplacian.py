"""W = I - L / kappa, with L the graph's Laplacian.

Xiao, Boyd 2004 ('Fast linear iterations for distributed averaging'); the paper asks for
kappa > lambda_max(L) / 2, so that no eigenvalue of W is below -1.
"""

from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from desim.errors import ScenarioError
from desim.mixings.base import Mixing, Weights
from desim.topologies.base import Graph


class Laplacian(Mixing):
    """W = I - L / kappa: every neighbour has the same weight 1 / kappa.

    Attributes:
        kappa: more than half of L's largest eigenvalue; left out, d_max + margin.
        margin: what is added to the largest degree d_max where kappa is left out (the paper's
            released code uses 2).
    """

    kind: ClassVar[str] = "laplacian"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"margin": 2.0}, {"kappa": 40.0})

    kappa: Annotated[float, Field(gt=0)] | None = None
    margin: Annotated[float, Field(gt=0)] = 1.0

    def off_diagonal(self, graph: Graph) -> tuple[npt.NDArray[np.float64], ...]:
        """1 / kappa for every neighbour."""
        kappa = self.kappa or float(graph.degrees.max()) + self.margin
        return tuple(np.full(len(row), 1.0 / kappa) for row in graph.neighbours)

    def build(self, graph: Graph) -> Weights:
        """W, checked.

        Raises:
            ScenarioError: kappa is not above lambda_max(L) / 2, so that averaging doesn't converge.
        """
        weights = super().build(graph)
        # lambda_max(L) <= 2 d_max, so only a kappa of at most d_max needs a look.
        highest = int(graph.degrees.max())
        if self.kappa is None or self.kappa > highest:
            return weights
        key = f"network.mixing.kappa = {self.kappa:g}"
        eigenvalues = weights.eigenvalues()
        if eigenvalues is None:
            raise ScenarioError(
                f"{key}: must be above the largest degree, {highest}, on a graph so large that its "
                "eigenvalues aren't computed"
            )
        if eigenvalues[1] <= -1 + 1e-9:  # an eigenvalue of -1 comes out a rounding error above it
            half = self.kappa * (1 - eigenvalues[1]) / 2
            raise ScenarioError(
                f"{key}: must be above half the Laplacian's largest eigenvalue, {half:.4g} on this "
                "graph; left out, it is d_max + margin"
            )
        return weights
