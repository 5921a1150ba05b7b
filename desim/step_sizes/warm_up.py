"""Linear warm-up (Goyal et al. 2017, arXiv 1706.02677) around any other step size.

alpha(t) = alpha'(t) (start + (1 - start) min(1, t / L)) with alpha' the other's, whose clock runs
from the beginning too. epsilon is the other's.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.step_sizes._checked import checked
from desim.step_sizes._schedule import Lasting
from desim.step_sizes.base import StepSize


class WarmUp(Lasting):
    """Another step size, whose alpha rises to its full value over the length.

    Attributes:
        after: the other one.
        start: the share of its alpha at the beginning; above 0, or the first steps do nothing.
    """

    kind: ClassVar[str] = "warm-up"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"over_steps": 10, "after": {"kind": "constant", "alpha": 0.5}},
        {"over_s": 5.0, "after": {"kind": "cosine", "alpha": 0.5}, "start": 0.2},
    )

    after: StepSize
    start: Annotated[float, Field(gt=0, le=1)] = 0.01

    @property
    def searched(self) -> tuple[str, str]:
        """Fields of the inner step size, below `after`."""
        alpha, epsilon = self.after.searched
        return f"after.{alpha}", f"after.{epsilon}"

    def within(self, rounds: int | None, time_s: float | None) -> StepSize:
        """With the horizon filled in for the inner step size."""
        return self.model_copy(update={"after": checked(self.after.within(rounds, time_s))})

    def at(self, step: float, time_s: float) -> tuple[float, float]:
        """(alpha' (start + (1 - start) min(1, u)), epsilon')."""
        alpha, epsilon = self.after.at(step, time_s)
        return alpha * (
            self.start + (1 - self.start) * min(1.0, self.passed(step, time_s))
        ), epsilon
