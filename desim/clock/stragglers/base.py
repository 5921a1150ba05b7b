"""What a straggler model is, and one worker's speed through a trial."""

from abc import abstractmethod
from array import array
from collections import deque
from collections.abc import Iterator
from itertools import count
from math import inf
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from desim.schema.registry import Member
from desim.streams import Streams

#: Speeds are drawn for so many steps of a worker at a time.
_BLOCK = 64


class Speed(Protocol):
    """One worker's speed through a trial, relative to its hardware's."""

    def duration_s(self, step: int, start_s: float, work_s: float) -> float:
        """How long it takes, from start_s on, to do what takes work_s at speed 1.

        Args:
            step: the number of the worker's gradient.
            start_s: never earlier than in the last call.
            work_s: seconds at speed 1.
        """

    def work_s(self, step: int, start_s: float, duration_s: float) -> float:
        """How much is done in duration_s from start_s on, in seconds at speed 1."""


class StragglerModel(Member):
    """How much faster or slower than its hardware says a worker is: a factor on its speed."""

    axis: ClassVar[str] = "stragglers"

    @abstractmethod
    def speed(self, streams: Streams, worker: int) -> Speed:
        """One worker's speed; all draws come from the stream "speed"."""

    @abstractmethod
    def mean_speed(self) -> float:
        """E[V], the mean factor on the speed; inf where it isn't finite."""

    @abstractmethod
    def mean_slowdown(self) -> float:
        """E[1/V], the mean factor on the time; inf where it isn't finite."""

    def mean_speed_of(self, worker: int) -> float:
        """One worker's mean speed; to be overridden where it is known for each."""
        return self.mean_speed()

    def check(self, workers: int) -> None:
        """Raises ValueError where the model doesn't fit so many workers."""


class PerStep(StragglerModel):
    """A speed that holds during a whole gradient."""

    @abstractmethod
    def speeds(
        self, streams: Streams, worker: int, steps: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """Factors on the speed, positive, shape (len(steps),)."""

    def speed(self, streams: Streams, worker: int) -> "SpeedPerStep":
        """A sequence of such speeds."""
        return SpeedPerStep(self, streams, worker)


class Law(PerStep):
    """Speeds of one distribution, independent over workers and steps.

    Attributes:
        persistent: one draw per worker, which holds through the whole trial, instead of one per
            gradient.
    """

    persistent: bool = False

    def speeds(
        self, streams: Streams, worker: int, steps: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """One draw per step, or the same one for all."""
        named = np.zeros_like(steps) if self.persistent else steps
        return self.speed_at(streams.uniforms("speed", worker, named))

    @abstractmethod
    def speed_at(self, u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The speeds that uniform numbers in [0, 1) stand for, same shape."""


class SpeedPerStep:
    """One worker's speeds, step after step."""

    __slots__ = ("_block", "_law", "_start", "_streams", "_worker")

    def __init__(self, law: PerStep, streams: Streams, worker: int) -> None:
        self._law, self._streams, self._worker = law, streams, worker
        self._start = -_BLOCK
        self._block = array("d")

    def at(self, step: int) -> float:
        """The speed at a step."""
        offset = step - self._start
        if not 0 <= offset < _BLOCK:
            self._start = step - step % _BLOCK
            steps = np.arange(self._start, self._start + _BLOCK)
            # Not a list of floats: those of 100,000 workers fill the caches.
            self._block = array("d", self._law.speeds(self._streams, self._worker, steps))
            offset = step - self._start
        return self._block[offset]

    def duration_s(self, step: int, start_s: float, work_s: float) -> float:
        """The work over the step's speed."""
        return work_s / self.at(step)

    def work_s(self, step: int, start_s: float, duration_s: float) -> float:
        """The time times the step's speed."""
        return duration_s * self.at(step)


class SpeedInTime:
    """A speed that changes at given times, in the middle of a gradient too.

    Args:
        segments: (the time at which it ends, the speed until then), one after another from time 0
            on, as many as are asked for; one that ends at inf is the last.
    """

    __slots__ = ("_coming", "_known")

    def __init__(self, segments: Iterator[tuple[float, float]]) -> None:
        self._coming = segments
        self._known = deque([next(segments)])

    def _from(self, time_s: float) -> Iterator[tuple[float, float]]:
        """The segments from the one at time_s on; those before it are forgotten."""
        known = self._known
        while known[0][0] <= time_s:
            known.popleft()
            if not known:
                known.append(next(self._coming))
        for place in count():
            if place == len(known):
                known.append(next(self._coming))
            yield known[place]

    def duration_s(self, step: int, start_s: float, work_s: float) -> float:
        """Until the integral of the speed is the work; inf where it never is."""
        now_s, left_s = start_s, work_s
        # Work that is done just before a pause must not wait for its end, whatever is rounded.
        nothing_s = 1e-12 * work_s
        for end_s, speed in self._from(start_s):
            if speed > 0 and left_s <= speed * (end_s - now_s) + nothing_s:
                return now_s - start_s + min(left_s / speed, end_s - now_s)
            if end_s == inf:
                break
            left_s -= speed * (end_s - now_s)
            now_s = end_s
        return inf

    def work_s(self, step: int, start_s: float, duration_s: float) -> float:
        """The integral of the speed."""
        now_s, until_s, done_s = start_s, start_s + duration_s, 0.0
        for end_s, speed in self._from(start_s):
            done_s += speed * (min(end_s, until_s) - now_s)
            if end_s >= until_s:
                break
            now_s = end_s
        return done_s
