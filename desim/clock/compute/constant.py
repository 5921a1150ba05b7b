"""Constant speed: every worker is equally fast at every step."""

from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from desim.clock.compute.base import Compute
from desim.streams import Streams


class Constant(Compute):
    """V = speed_sps, always.

    Attributes:
        speed_sps: samples per second.
    """

    kind: ClassVar[str] = "constant"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"speed_sps": 50.0},)

    speed_sps: Annotated[float, Field(gt=0)]

    def speeds_sps(
        self, streams: Streams, worker: int, steps: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """The one speed."""
        return np.full(len(steps), self.speed_sps)

    def mean_speed_sps(self) -> float:
        """The one speed."""
        return self.speed_sps
