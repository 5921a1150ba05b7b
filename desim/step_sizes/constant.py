"""Constant step sizes."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.step_sizes.base import StepSize


class Constant(StepSize):
    """alpha and epsilon as given.

    Attributes:
        alpha: the gradient's step size.
        epsilon: the consensus step size; 1 averages fully. In DSGD and QuanTimed-DSGD the gradient
            is scaled by it too.
    """

    kind: ClassVar[str] = "constant"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"alpha": 0.5},
        {"alpha": 0.5, "epsilon": 0.8},
    )

    alpha: Annotated[float, Field(gt=0)]
    epsilon: Annotated[float, Field(gt=0)] = 1.0

    def at(self, step: float, time_s: float) -> tuple[float, float]:
        """(alpha, epsilon)."""
        return self.alpha, self.epsilon
