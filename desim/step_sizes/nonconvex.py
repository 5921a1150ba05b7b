"""Step sizes of the paper's non-convex theorem.

alpha = c1 T^{-1/6}, epsilon = c2 T^{-1/2} (Reisizadeh et al. 2019, arXiv 1907.10595, Theorem 2).
"""

from typing import Any, ClassVar

from desim.step_sizes.base import HorizonStepSize


class Nonconvex(HorizonStepSize):
    """alpha = c1 T^{-1/6}, epsilon = c2 T^{-1/2}; gradient norm and consensus fall as T^{-1/3}."""

    kind: ClassVar[str] = "nonconvex"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"c1": 0.5, "c2": 1.0},
        {"c1": 0.5, "c2": 1.0, "horizon": 30},
    )

    def exponents(self) -> tuple[float, float]:
        """(1/6, 1/2)."""
        return 1 / 6, 1 / 2
