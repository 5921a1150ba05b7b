"""Step decay, the stairs that image networks are trained with (He et al. 2016, arXiv 1512.03385).

alpha(t) = alpha factor^floor(t / L).
"""

from math import floor
from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.step_sizes._schedule import Schedule


class StepDecay(Schedule):
    """alpha is multiplied by `by` after each length.

    Attributes:
        by: the factor.
    """

    kind: ClassVar[str] = "step-decay"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"alpha": 0.5, "over_steps": 15},
        {"alpha": 0.5, "over_s": 8.0, "by": 0.5},
    )

    by: Annotated[float, Field(gt=0, lt=1)] = 0.1

    def factor(self, u: float) -> float:
        """by^floor(u)."""
        return float(self.by ** floor(u))
