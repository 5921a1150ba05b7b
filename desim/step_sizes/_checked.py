"""What a step size of one's own gives is checked at every step."""

from math import isfinite
from typing import Any

from desim.errors import ScenarioError
from desim.step_sizes.base import StepSize


class Checked(StepSize):
    """Another step size, whose values are looked at.

    Attributes:
        inner: the other one.
    """

    inner: StepSize

    def at(self, step: float, time_s: float) -> tuple[float, float]:
        """What the inner one gives.

        Raises:
            ScenarioError: that isn't a pair of finite numbers, or one of them is negative.
        """
        given: Any = self.inner.at(step, time_s)
        try:
            alpha, epsilon = map(float, given)
        except (TypeError, ValueError):
            alpha = epsilon = -1.0
        if not (isfinite(alpha) and isfinite(epsilon) and alpha >= 0 and epsilon > 0):
            raise ScenarioError(
                f"step_size = {self.inner.table()}: gives {given!r} at step {step:g}, {time_s:g} s;"
                " must be a pair of finite numbers, alpha from 0 and a positive epsilon"
            )
        return alpha, epsilon


def checked(step_size: StepSize) -> StepSize:
    """The step size; one of a class of the user's own with its values checked."""
    bundled = type(step_size).__module__.startswith("desim.")
    return step_size if bundled else Checked(inner=step_size)
