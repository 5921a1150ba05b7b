"""alpha(t) = alpha / sqrt(1 + t / L): the rate of SGD's theorems for convex losses.

With no horizon known, alpha ~ t^(-1/2) gives O(1 / sqrt(t)) (Nemirovski et al. 2009, 'Robust
stochastic approximation approach to stochastic programming').
"""

from math import sqrt
from typing import Any, ClassVar

from desim.step_sizes._schedule import Schedule


class InverseSqrt(Schedule):
    """alpha / sqrt(1 + t / L), with L the length."""

    kind: ClassVar[str] = "inverse-sqrt"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"alpha": 0.5, "over_steps": 10},
        {"alpha": 0.5, "over_s": 5.0},
    )

    def factor(self, u: float) -> float:
        """1 / sqrt(1 + u)."""
        return 1 / sqrt(1 + u)
