"""Step sizes that change during a run: alpha times a factor of how far the run is."""

from abc import abstractmethod
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from desim.errors import ScenarioError
from desim.step_sizes.base import StepSize


class Lasting(StepSize):
    """A step size with a length, in local steps or in simulated seconds.

    Workers of equal speed have made equally many steps at any time; of others the slow ones are
    behind, so that under a deadline or without waiting the two forms differ.

    Attributes:
        over_steps: the length in local steps of the worker (of a server: of its workers' mean).
        over_s: the length in simulated seconds; give one of the two.
    """

    axis: ClassVar[str] = "step-sizes"

    over_steps: Annotated[float, Field(gt=0)] | None = None
    over_s: Annotated[float, Field(gt=0)] | None = None

    @property
    def to_the_end(self) -> bool:
        """Whether a length that is left out is the whole run's."""
        return False

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        given = [value for value in (self.over_steps, self.over_s) if value is not None]
        if len(given) > 1 or not (given or self.to_the_end):
            rule = "give at most one of them" if self.to_the_end else "give exactly one of them"
            raise ValueError(f"over_steps = {self.over_steps}, over_s = {self.over_s}: {rule}")
        return self

    def within(self, rounds: int | None, time_s: float | None) -> "StepSize":
        """Over the whole run, where no length is given: its rounds, or else its time."""
        if self.over_steps is not None or self.over_s is not None:
            return self
        if rounds is not None:
            return self.model_copy(update={"over_steps": float(rounds)})
        if time_s is not None:
            return self.model_copy(update={"over_s": time_s})
        raise ScenarioError(
            f"step_size = {self.table()}: needs the length of the run; give over_steps or over_s, "
            "or rounds or time_s in [stop]"
        )

    def passed(self, step: float, time_s: float) -> float:
        """How many lengths have passed."""
        if self.over_steps is not None:
            return step / self.over_steps
        assert self.over_s is not None, "`within` fills it in"
        return time_s / self.over_s


class Schedule(Lasting):
    """alpha times a factor that changes; epsilon is constant.

    Attributes:
        alpha: the gradient's step size at the beginning.
        epsilon: the consensus step size; 1 averages fully.
    """

    axis: ClassVar[str] = "step-sizes"

    alpha: Annotated[float, Field(gt=0)]
    epsilon: Annotated[float, Field(gt=0)] = 1.0

    @abstractmethod
    def factor(self, u: float) -> float:
        """What alpha is multiplied with after u lengths; 1 for u = 0."""

    def at(self, step: float, time_s: float) -> tuple[float, float]:
        """(alpha factor(u), epsilon)."""
        return self.alpha * self.factor(self.passed(step, time_s)), self.epsilon


class Annealing(Schedule):
    """A schedule that comes to its last value at the end of its length: of the run, if left out.

    Attributes:
        final: the last alpha as a share of the first; it holds from then on.
    """

    axis: ClassVar[str] = "step-sizes"

    final: Annotated[float, Field(ge=0, le=1)] = 0.0

    @property
    def to_the_end(self) -> bool:
        """An annealing may last as long as the run."""
        return True

    @abstractmethod
    def left(self, u: float) -> float:
        """What is left to fall after a share u in [0, 1] of the length: from 1 to 0."""

    def factor(self, u: float) -> float:
        """final + (1 - final) left(u)."""
        return self.final + (1 - self.final) * self.left(min(u, 1.0))
