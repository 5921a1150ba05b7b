"""Polynomial decay, linear for power 1 (as in Chen et al. 2017, arXiv 1606.00915, power 0.9).

alpha(t) = alpha (final + (1 - final) (1 - t / L)^power) up to t = L.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.step_sizes._schedule import Annealing


class Polynomial(Annealing):
    """From alpha to final * alpha along a power of what is left, a straight line by default.

    Attributes:
        power: the exponent.
    """

    kind: ClassVar[str] = "polynomial"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"alpha": 0.5, "over_steps": 40},
        {"alpha": 0.5, "over_s": 20.0, "power": 2.0},
    )

    power: Annotated[float, Field(gt=0)] = 1.0

    def left(self, u: float) -> float:
        """(1 - u)^power."""
        return float((1 - u) ** self.power)
