"""The end after so many rounds."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.stops.base import StopRule


class RoundLimit(StopRule):
    """Ends a trial when workers have made so many local steps in the mean: `rounds` in [stop].

    Attributes:
        rounds: the mean number of local steps per worker.
    """

    kind: ClassVar[str] = "rounds"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"rounds": 4},)

    rounds: Annotated[int, Field(ge=1)]

    def at_steps(self, workers: int) -> float:
        """rounds * workers."""
        return self.rounds * workers
