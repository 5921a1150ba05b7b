"""What a straggler model is, and one worker's speed through a trial.

Which base a model of one's own has:

    Law              independent draws of one distribution: draws, distribution function and means
    Law, Fittable    one that `desim fit` can fit: a density and a maximum-likelihood fit as well
    PerStep          any other speed that holds during a whole gradient
    StragglerModel   a speed that changes in time
"""

from abc import abstractmethod
from array import array
from collections import deque
from collections.abc import Iterator
from itertools import count
from math import inf
from typing import ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from desim.schema.registry import Member
from desim.streams import Streams

Numbers = npt.NDArray[np.float64]

#: Speeds are drawn for so many steps of a worker at a time.
_BLOCK = 64


class Speed(Protocol):
    """One worker's speed through a trial, relative to its hardware's."""

    def duration_s(self, step: int, start_s: float, work_s: float) -> float:
        """Seconds from start_s on until what takes work_s at speed 1 is done.

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
        """E[V] of one worker; to be overridden by a model whose workers differ."""
        return self.mean_speed()

    def check(self, workers: int) -> None:
        """Raises ValueError where the model doesn't fit so many workers."""


class Fittable(StragglerModel):
    """A model whose slowdowns 1/V have a density, which `desim fit` fits to measured ones.

    Below, x is an array of slowdowns, positive: seconds per sample where the cluster names no
    hardware. A mixture is fittable; a law of one distribution derives from `Law` as well.
    """

    #: The fields that are ends of the support: n measured steps tell them to 1/n rather than to
    #: 1/sqrt(n).
    ends: ClassVar[tuple[str, ...]] = ()

    @classmethod
    @abstractmethod
    def fitted(cls, x: Numbers) -> Self:
        """The model with the parameters of largest likelihood; it is given no other fields.

        Args:
            x: measured slowdowns, shape (n,), n at least 10, not all equal.

        Raises:
            ScenarioError: the model refuses those parameters; `desim fit` then leaves
                it out.
        """

    @abstractmethod
    def log_density(self, x: Numbers) -> Numbers:
        """ln of the density of 1/V (in 1/s) at x, same shape; -inf outside the support."""

    @abstractmethod
    def cdf(self, x: Numbers) -> Numbers:
        """P(1/V <= x), same shape."""

    def parameters(self) -> int:
        """How many parameters `fitted` has chosen: the fields that were given."""
        return len(self.model_fields_set)


class PerStep(StragglerModel):
    """A speed that holds during a whole gradient."""

    @abstractmethod
    def speeds(self, streams: Streams, worker: int, steps: npt.NDArray[np.int64]) -> Numbers:
        """Factors on the speed, positive, shape (len(steps),)."""

    def speed(self, streams: Streams, worker: int) -> "SpeedPerStep":
        """The worker's speeds, drawn in blocks of steps."""
        return SpeedPerStep(self, streams, worker)


class Law(PerStep):
    """Speeds of one distribution, independent over workers and steps.

    One that `desim fit` can fit is `class MyLaw(Law, Fittable)`.

    Attributes:
        persistent: one draw per worker, which holds through the whole trial, instead of one per
            gradient.
    """

    persistent: bool = False

    def speeds(self, streams: Streams, worker: int, steps: npt.NDArray[np.int64]) -> Numbers:
        """One draw per step, or the same one for all."""
        named = np.zeros_like(steps) if self.persistent else steps
        return self.speed_at(streams.uniforms("speed", worker, named))

    @abstractmethod
    def speed_at(self, u: Numbers) -> Numbers:
        """Draws of V made of uniform numbers u in [0, 1), same shape, positive and finite."""

    @abstractmethod
    def cdf(self, x: Numbers) -> Numbers:
        """P(1/V <= x) at positive x, same shape: what the draws are tested against."""


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
