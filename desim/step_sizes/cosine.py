"""Cosine annealing (Loshchilov, Hutter 2017, arXiv 1608.03983), without restarts.

alpha(t) = alpha (final + (1 - final) (1 + cos(pi t / L)) / 2) up to t = L.
"""

from math import cos, pi
from typing import Any, ClassVar

from desim.step_sizes._schedule import Annealing


class Cosine(Annealing):
    """From alpha to final * alpha along half a cosine, over the whole run or its own length."""

    kind: ClassVar[str] = "cosine"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"alpha": 0.5, "over_steps": 40},
        {"alpha": 0.5, "over_s": 20.0, "final": 0.1},
    )

    def left(self, u: float) -> float:
        """(1 + cos(pi u)) / 2."""
        return (1 + cos(pi * u)) / 2
