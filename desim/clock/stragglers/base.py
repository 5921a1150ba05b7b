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
from itertools import chain
from math import inf
from sys import float_info
from typing import ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt

from desim.errors import ScenarioError, SimulationError
from desim.schema.limits import LARGEST, SMALLEST
from desim.schema.own_code import is_own
from desim.schema.phrases import short
from desim.schema.registry import Member
from desim.streams import Streams

Numbers = npt.NDArray[np.float64]

#: Speeds are drawn for so many steps of a worker at a time.
_BLOCK = 64

#: A speed that changes more often between two looks at it would take a second for each of them.
MOST_CHANGES = 1_000_000


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


def refuse_speeds(law: PerStep, speeds: object) -> None:
    """Raises ScenarioError where speeds aren't one positive finite number for each step."""
    given = np.asarray(speeds) if isinstance(speeds, np.ndarray) else np.zeros(0)
    right = given.shape == (_BLOCK,) and given.dtype.kind in "iuf"
    if not right:
        raise ScenarioError(
            f"stragglers = {law.table()}: gives {short(speeds)} as speeds; must be an array of "
            f"shape ({_BLOCK},), a number for each of so many steps"
        )
    wrong = given[~((given > 0) & (given < inf))]
    if len(wrong):
        raise ScenarioError(
            f"stragglers = {law.table()}: gives a speed of {wrong[0]}; must be positive and finite"
        )


class CheckedSpeed:
    """A speed of the user's own, whose answers are looked at.

    Args:
        model: whose speed it is.
        speed: the speed.
    """

    def __init__(self, model: StragglerModel, speed: Speed) -> None:
        self._model, self._speed = model, speed

    def duration_s(self, step: int, start_s: float, work_s: float) -> float:
        """What the speed says, 0 or more; inf where the work is never done."""
        return self._checked("duration_s", self._speed.duration_s(step, start_s, work_s), inf)

    def work_s(self, step: int, start_s: float, duration_s: float) -> float:
        """What the speed says, 0 or more and finite."""
        work_s = self._speed.work_s(step, start_s, duration_s)
        return self._checked("work_s", work_s, float_info.max)

    def _checked(self, name: str, given: object, most: float) -> float:
        if isinstance(given, int | float | np.number) and 0 <= given <= most:
            return float(given)
        raise ScenarioError(
            f"stragglers = {self._model.table()}: {name} gives {short(given)}; must be 0 or more"
            f"{'' if most == inf else ' and finite'}"
        )


def speed_of(model: StragglerModel, streams: Streams, worker: int) -> Speed:
    """A worker's speed; one of a class of the user's own with its answers checked.

    Raises:
        ScenarioError: the model gives something else.
    """
    speed = model.speed(streams, worker)
    if isinstance(speed, SpeedPerStep) or not is_own(model):
        return speed
    if not (hasattr(speed, "duration_s") and hasattr(speed, "work_s")):
        raise ScenarioError(
            f"stragglers = {model.table()}: `speed` gives {short(speed)}; must have duration_s and "
            "work_s, as desim.Speed has"
        )
    if isinstance(speed, SpeedInTime):
        speed.check(model)
    return CheckedSpeed(model, speed)


def checked_mean(model: StragglerModel, name: str, mean: object) -> float:
    """A mean that a model gives.

    Raises:
        ScenarioError: it is negative or nan, or no number.
    """
    if isinstance(mean, int | float | np.number) and mean >= 0:
        return float(mean)
    raise ScenarioError(
        f"stragglers = {model.table()}: {name} gives {short(mean)}; must be 0 or more, inf where "
        "it isn't finite"
    )


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
            speeds = self._law.speeds(self._streams, self._worker, steps)
            if is_own(self._law):
                refuse_speeds(self._law, speeds)
            # Not a list of floats: those of 100,000 workers fill the caches.
            self._block = array("d", speeds)
            if not SMALLEST <= min(self._block) <= max(self._block) <= LARGEST:
                raise ScenarioError(
                    f"stragglers = {self._law.table()}: give worker {self._worker} a speed of "
                    f"{min(self._block):g} to {max(self._block):g}, times its machine's; must be "
                    f"from {SMALLEST:.4g} to {LARGEST:.4g}"
                )
            offset = step - self._start
        return self._block[offset]

    def duration_s(self, step: int, start_s: float, work_s: float) -> float:
        """The work over the step's speed."""
        return work_s / self.at(step)

    def work_s(self, step: int, start_s: float, duration_s: float) -> float:
        """The time times the step's speed."""
        return duration_s * self.at(step)


def _restless(time_s: float) -> SimulationError:
    return SimulationError(
        f"stragglers: a worker's speed changes more than {MOST_CHANGES:,} times around "
        f"{time_s:g} s, within one gradient or between two; it must change more rarely"
    )


class SpeedInTime:
    """A speed that changes at given times, in the middle of a gradient too.

    Args:
        segments: (the time at which it ends, the speed until then), one after another from time 0
            on, as many as are asked for; one that ends at inf is the last.
    """

    __slots__ = ("_coming", "_known")

    def __init__(self, segments: Iterator[tuple[float, float]]) -> None:
        first = next(segments, None)
        if first is None:
            raise ScenarioError("stragglers: a speed needs a segment; the last must end at inf")
        self._coming, self._known = segments, deque([first])

    def check(self, model: StragglerModel) -> None:
        """Looks at each segment from now on: ends that don't come later would never end."""
        self._coming = _segments(model, chain(self._known, self._coming))
        self._known = deque([next(self._coming)])

    def _from(self, time_s: float) -> Iterator[tuple[float, float]]:
        """The segments from the one at time_s on; those before it are forgotten."""
        known, passed = self._known, 0
        while known[0][0] <= time_s:
            known.popleft()
            passed += 1
            if passed > MOST_CHANGES:
                raise _restless(time_s)
            if not known:
                known.append(next(self._coming))
        for place in range(MOST_CHANGES):
            if place == len(known):
                known.append(next(self._coming))
            yield known[place]
        raise _restless(time_s)

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


def _segments(
    model: StragglerModel, given: Iterator[tuple[float, float]]
) -> Iterator[tuple[float, float]]:
    """The segments of a speed of the user's own.

    Raises:
        ScenarioError: one doesn't end after the one before it, its speed isn't 0 or more and
            finite, or there is none until inf.
    """
    before_s = 0.0
    for end_s, speed in given:
        if not (end_s > before_s and 0 <= speed < inf):
            raise ScenarioError(
                f"stragglers = {model.table()}: gives the speed {speed!r} until {end_s!r} s, after "
                f"a segment until {before_s!r} s; must be 0 or more and finite, and end later"
            )
        before_s = end_s
        yield end_s, speed
    raise ScenarioError(
        f"stragglers = {model.table()}: gives no speed after {before_s!r} s; the last segment must "
        "end at inf"
    )
