"""Step sizes of the paper's strongly convex theorem.

alpha = c1 T^{-delta/2}, epsilon = c2 T^{-3 delta/2} (Reisizadeh et al. 2019, arXiv 1907.10595,
Theorem 1).
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.step_sizes.base import HorizonStepSize


class StronglyConvex(HorizonStepSize):
    """alpha = c1 T^{-delta/2}, epsilon = c2 T^{-3 delta/2}; the squared error falls as T^{-delta}.

    Attributes:
        delta: in (0, 1/2).
    """

    kind: ClassVar[str] = "strongly-convex"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"delta": 0.2}, {"delta": 0.2, "horizon": 30})

    delta: Annotated[float, Field(gt=0, lt=0.5)]
    c1: Annotated[float, Field(gt=0)] = 1.0
    c2: Annotated[float, Field(gt=0)] = 1.0

    def exponents(self) -> tuple[float, float]:
        """(delta/2, 3 delta/2)."""
        return self.delta / 2, 3 * self.delta / 2
