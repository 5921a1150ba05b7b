"""Markov-modulated speed: each worker switches between fast and slow, continuously in time.

Times in either state are exponential, and the first state is drawn from the stationary
distribution. A worker may slow down in the middle of a gradient, and a deadline counts what was
really done by then. The expected work done in a time t is t times the mean speed.
Slowdowns that last for several tasks were measured on cloud machines by Narra et al. 2019 (S2C2,
arXiv 1904.07098).
"""

from collections.abc import Iterator
from math import log1p
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from desim.clock.stragglers.base import SpeedInTime, StragglerModel
from desim.streams import Streams

_BLOCK = 64


class Markov(StragglerModel):
    """Fast (V = 1) and slow (V = 1 / factor) in turn, for exponential times.

    Attributes:
        slow_fraction: the share of all time in which a worker is slow.
        mean_slow_s: the mean time for which it stays slow, in simulated seconds.
        factor: how many times as slow.
    """

    kind: ClassVar[str] = "markov"

    slow_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1
    mean_slow_s: Annotated[float, Field(ge=1e-6)] = 10.0
    factor: Annotated[float, Field(gt=0)] = 5.0

    @property
    def mean_fast_s(self) -> float:
        """The mean time for which a worker stays fast."""
        return self.mean_slow_s * (1 - self.slow_fraction) / self.slow_fraction

    def speed(self, streams: Streams, worker: int) -> SpeedInTime:
        """The worker's own path through the two states."""
        return SpeedInTime(self._path(streams, worker))

    def _path(self, streams: Streams, worker: int) -> Iterator[tuple[float, float]]:
        first = float(streams.uniforms("speed", worker, 0, 1)[0])
        slow = first < self.slow_fraction
        end_s, start = 0.0, 0
        while True:
            names = np.arange(start, start + _BLOCK)
            for u in streams.uniforms("speed", worker, names).tolist():
                end_s -= (self.mean_slow_s if slow else self.mean_fast_s) * log1p(-u)
                yield end_s, 1 / self.factor if slow else 1.0
                slow = not slow
            start += _BLOCK

    def mean_speed(self) -> float:
        """1 - slow_fraction + slow_fraction / factor, the mean over time."""
        return 1 - self.slow_fraction + self.slow_fraction / self.factor

    def mean_slowdown(self) -> float:
        """Time per work in the long run: 1 / mean_speed."""
        return 1 / self.mean_speed()
