"""Uniform speed: V ~ U(low, high), drawn anew at every step of every worker.

The paper's straggler model (V ~ U(10, 90)). Workers differ only in noise: none is slow for long.
"""

from typing import Annotated, Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from desim.clock.compute.base import Compute
from desim.streams import Streams


class UniformSpeed(Compute):
    """V ~ U(low, high) samples/s, independent over workers and steps.

    Attributes:
        low: the lowest speed, samples/s, positive.
        high: the highest speed, samples/s, at least low.
    """

    kind: ClassVar[str] = "uniform-speed"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"low": 10.0, "high": 90.0},)

    low: Annotated[float, Field(gt=0)]
    high: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.high < self.low:
            raise ValueError(f"high = {self.high:g}: must be at least low = {self.low:g}")
        return self

    def speeds_sps(
        self, streams: Streams, worker: int, steps: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """One uniform draw per step."""
        return self.low + (self.high - self.low) * streams.uniforms("speed", worker, steps)

    def mean_speed_sps(self) -> float:
        """(low + high) / 2."""
        return (self.low + self.high) / 2
