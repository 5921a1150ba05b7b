"""Step sizes of the authors' reply to reviewers for convex losses.

alpha = c1 T^{-delta/4}, epsilon = c2 T^{-3 delta/4}.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.step_sizes.base import HorizonStepSize


class Convex(HorizonStepSize):
    """alpha = c1 T^{-delta/4}, epsilon = c2 T^{-3 delta/4}; the loss gap falls as T^{-delta/2}.

    Attributes:
        delta: in (0, 1/2).
    """

    kind: ClassVar[str] = "convex"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"delta": 0.2}, {"delta": 0.2, "horizon": 30})

    delta: Annotated[float, Field(gt=0, lt=0.5)]
    c1: Annotated[float, Field(gt=0)] = 1.0
    c2: Annotated[float, Field(gt=0)] = 1.0

    def exponents(self) -> tuple[float, float]:
        """(delta/4, 3 delta/4)."""
        return self.delta / 4, 3 * self.delta / 4
