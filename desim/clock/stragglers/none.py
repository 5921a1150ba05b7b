"""No stragglers: every worker is always as fast as its hardware."""

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from desim.clock.stragglers.base import Numbers, PerStep
from desim.streams import Streams


class NoStragglers(PerStep):
    """V = 1, always."""

    kind: ClassVar[str] = "none"

    def speeds(self, streams: Streams, worker: int, steps: npt.NDArray[np.int64]) -> Numbers:
        """1 at every step."""
        return np.ones(len(steps))

    def mean_speed(self) -> float:
        """1, as V is."""
        return 1.0

    def mean_slowdown(self) -> float:
        """1, as V is."""
        return 1.0
