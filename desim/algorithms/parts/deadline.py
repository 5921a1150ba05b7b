"""What methods have in common that compute until a deadline, however far they get."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from desim.algorithms.base import Algorithm
from desim.clock.fleet import Fleet


class Deadline(Algorithm):
    """A method whose workers compute for equally long, each over as many samples as it gets to.

    Attributes:
        deadline_s: T_d in seconds.
        expected_batch: b, which gives T_d = b / E[V]; give this or deadline_s.
        max_batch: the most samples that a gradient takes; a machine that is done with them earlier
            waits for the deadline. Left out, there is no limit.
    """

    axis: ClassVar[str] = "algorithms"

    deadline_s: Annotated[float, Field(gt=0)] | None = None
    expected_batch: Annotated[float, Field(gt=0)] | None = None
    max_batch: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_deadline(self) -> Self:
        if (self.deadline_s is None) == (self.expected_batch is None):
            raise ValueError(
                f"deadline_s = {self.deadline_s}, expected_batch = {self.expected_batch}: give "
                "exactly one of them; T_d = b / E[V]"
            )
        if self.max_batch is not None and (self.expected_batch or 0) > self.max_batch:
            raise ValueError(
                f"max_batch = {self.max_batch}: must be at least expected_batch = "
                f"{self.expected_batch:g}"
            )
        return self

    def deadline(self, fleet: Fleet) -> float:
        """T_d in seconds."""
        if self.deadline_s is not None:
            return self.deadline_s
        assert self.expected_batch is not None
        return fleet.deadline_s(self.expected_batch)

    def details(self, fleet: Fleet) -> dict[str, Any]:
        """T_d."""
        return {"T_d": f"{self.deadline(fleet):.4g} s"}
