"""The end after so many local steps."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.stops.base import StopRule


class StepLimit(StopRule):
    """Ends a trial when all workers together have made so many local steps: `steps` in [stop].

    Attributes:
        steps: local steps over all workers.
    """

    kind: ClassVar[str] = "steps"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"steps": 7},)

    steps: Annotated[int, Field(ge=1)]

    def at_steps(self, workers: int) -> float:
        """The number of steps."""
        return self.steps
