"""What a choice of step sizes is."""

from abc import abstractmethod
from inspect import signature
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from desim.errors import ScenarioError
from desim.schema.registry import Member


class StepSize(Member):
    """The gradient's step alpha and the consensus step epsilon, asked for at every local step.

    `desim tune` searches the fields that `searched` names.
    """

    axis: ClassVar[str] = "step-sizes"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if len(signature(cls.at).parameters) != 3:
            raise TypeError(
                f"{cls.__name__}.at{signature(cls.at)}: must be at(self, step, time_s); a horizon "
                "is given to `within`"
            )

    @property
    def searched(self) -> tuple[str, str]:
        """The fields that scale alpha and epsilon; those of an inner table as `after.alpha`."""
        return "alpha", "epsilon"

    def within(self, rounds: int | None, time_s: float | None) -> "StepSize":
        """The same with the horizon filled in, where it depends on one and names none.

        Args:
            rounds, time_s: where the scenario's [stop] ends a trial, or None.

        Raises:
            ScenarioError: it depends on the horizon and there is none.
        """
        return self

    @abstractmethod
    def at(self, step: float, time_s: float) -> tuple[float, float]:
        """(alpha, epsilon).

        Args:
            step: local steps that the worker has ended; on a server, its workers' mean.
            time_s: the simulated time.
        """


class HorizonStepSize(StepSize):
    """alpha = c1 T^-a and epsilon = c2 T^-e with T the number of rounds of the whole run.

    Attributes:
        c1, c2: the constants.
        horizon: T; left out, [stop] rounds.
    """

    axis: ClassVar[str] = "step-sizes"

    c1: Annotated[float, Field(gt=0)]
    c2: Annotated[float, Field(gt=0)]
    horizon: Annotated[int, Field(ge=1)] | None = None

    @property
    def searched(self) -> tuple[str, str]:
        """c1 scales alpha, c2 scales epsilon."""
        return "c1", "c2"

    @abstractmethod
    def exponents(self) -> tuple[float, float]:
        """(a, e)."""

    def within(self, rounds: int | None, time_s: float | None) -> Self:
        """With T filled in."""
        if self.horizon is not None:
            return self
        if rounds is None:
            raise ScenarioError(
                f"step_size = {self.table()}: needs the number of rounds T; give [stop] rounds, or "
                "horizon in the step_size"
            )
        return self.model_copy(update={"horizon": rounds})

    def at(self, step: float, time_s: float) -> tuple[float, float]:
        """(c1 T^-a, c2 T^-e), the same at all times."""
        assert self.horizon is not None, "`within` fills it in"
        a, e = self.exponents()
        return self.c1 * self.horizon**-a, self.c2 * self.horizon**-e
