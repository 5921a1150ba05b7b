"""What a law of compute speed is, and each worker's own sequence of speeds."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from desim.registry import Member
from desim.streams import Streams

#: Speeds are drawn for so many steps of a worker at a time.
_BLOCK = 64


class Compute(Member):
    """V: how many per-sample gradients a worker gets through per second, at each of its steps."""

    axis: ClassVar[str] = "compute"

    @abstractmethod
    def speeds_sps(
        self, streams: Streams, worker: int, steps: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """Speeds in samples/s, positive, shape (len(steps),); drawn from the stream "speed"."""

    @abstractmethod
    def mean_speed_sps(self) -> float:
        """E[V] in samples/s."""


class Speeds:
    """One worker's speeds, step after step."""

    __slots__ = ("_block", "_law", "_start", "_streams", "_worker")

    def __init__(self, law: Compute, streams: Streams, worker: int) -> None:
        self._law, self._streams, self._worker = law, streams, worker
        self._start = -_BLOCK
        self._block: list[float] = []

    def at(self, step: int) -> float:
        """The speed at a step, in samples/s."""
        offset = step - self._start
        if not 0 <= offset < _BLOCK:
            self._start = step - step % _BLOCK
            steps = np.arange(self._start, self._start + _BLOCK)
            self._block = self._law.speeds_sps(self._streams, self._worker, steps).tolist()
            offset = step - self._start
        return self._block[offset]
