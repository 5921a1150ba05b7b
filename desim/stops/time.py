"""The end at a simulated time."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.stops.base import StopRule


class TimeLimit(StopRule):
    """Ends a trial at a simulated time, exactly: `time_s` in [stop].

    Attributes:
        time_s: the time in seconds.
    """

    kind: ClassVar[str] = "time"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"time_s": 5.25},)

    time_s: Annotated[float, Field(gt=0)]

    @property
    def name(self) -> str:
        """The key in [stop]."""
        return "time_s"

    def at_time_s(self) -> float:
        """Its time limit."""
        return self.time_s
