"""What a choice of step sizes is."""

from abc import abstractmethod
from typing import Annotated, ClassVar

from pydantic import Field

from desim.errors import ScenarioError
from desim.schema.registry import Member


class StepSize(Member):
    """The gradient's step alpha and the consensus step epsilon, constant during a run.

    `desim tune` searches the fields named in `searched`: the one that scales alpha, and the one
    that scales epsilon.
    """

    axis: ClassVar[str] = "step-sizes"
    searched: ClassVar[tuple[str, str]] = ("alpha", "epsilon")

    @abstractmethod
    def at(self, horizon: int | None) -> tuple[float, float]:
        """(alpha, epsilon) for a run of `horizon` rounds.

        Raises:
            ScenarioError: they depend on the horizon and there is none.
        """


class HorizonStepSize(StepSize):
    """alpha = c1 T^-a and epsilon = c2 T^-e with T the number of rounds of the whole run.

    Attributes:
        c1, c2: the constants.
        horizon: T; left out, [stop] rounds.
    """

    axis: ClassVar[str] = "step-sizes"
    searched: ClassVar[tuple[str, str]] = ("c1", "c2")

    c1: Annotated[float, Field(gt=0)]
    c2: Annotated[float, Field(gt=0)]
    horizon: Annotated[int, Field(ge=1)] | None = None

    @abstractmethod
    def exponents(self) -> tuple[float, float]:
        """(a, e)."""

    def at(self, horizon: int | None) -> tuple[float, float]:
        """(c1 T^-a, c2 T^-e)."""
        rounds = self.horizon or horizon
        if rounds is None:
            raise ScenarioError(
                f"step_size = {self.table()}: needs the number of rounds T; give [stop] rounds, or "
                "horizon in the step_size"
            )
        a, e = self.exponents()
        return self.c1 * rounds**-a, self.c2 * rounds**-e
