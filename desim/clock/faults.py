"""Faults and churn: when workers and links are down, known in advance to the clock only.

Crashes, links that fail, workers that join late (down from 0 on) and leave (down for good) are all
outages. The clock asks whether something is down at a time; the workers can't.
"""

from bisect import bisect_right
from collections.abc import Hashable, Iterator, Sequence
from itertools import count
from math import inf, isinf, log1p
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from desim.errors import SimulationError
from desim.schema.registry import NestedError, Table
from desim.streams import Streams

_BLOCK = 16

#: Outages of one worker or link are kept, and asked for again; so many take 16 MB and a second.
_MOST = 1_000_000

Time = Annotated[float, Field(ge=0)]
Mean = Annotated[float, Field(gt=0)]
Number = Annotated[int, Field(ge=0)]
Outage = tuple[float, float]


class RandomOutages(Table):
    """Up and down in turn, for exponential times; everything is up at first.

    Attributes:
        mean_up_s, mean_down_s: the means, in simulated seconds.
    """

    mean_up_s: Mean
    mean_down_s: Mean


class _Given(Table):
    down_s: Time
    up_s: Time | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.up_s is not None and self.up_s <= self.down_s:
            raise ValueError(f"up_s = {self.up_s:g}: must be later than down_s = {self.down_s:g}")
        return self

    def outage(self) -> Outage:
        """(down, up), the latter inf for good."""
        return self.down_s, inf if self.up_s is None else self.up_s


class WorkerOutage(_Given):
    """A worker that is away for a while.

    Attributes:
        worker: its number.
        down_s: when it goes; 0 for one that joins later.
        up_s: when it comes (back); left out, never.
    """

    worker: Number


class LinkOutage(_Given):
    """A link that fails, in both directions.

    Attributes:
        between: the two workers' numbers.
        down_s: when it fails.
        up_s: when it works again; left out, never.
    """

    between: Annotated[tuple[Number, Number], Field(strict=False)]

    @field_validator("between", mode="before")
    @classmethod
    def _are_two(cls, ends: object) -> object:
        if not isinstance(ends, list | tuple) or len(ends) != 2 or ends[0] == ends[1]:
            raise ValueError("must be the numbers of two different workers, [a, b]")
        return ends


#: What a list stands for.
_GIVEN: dict[str | None, TypeAdapter[Any]] = {
    "workers": TypeAdapter(tuple[WorkerOutage, ...]),
    "links": TypeAdapter(tuple[LinkOutage, ...]),
}


class Faults(Table):
    """What fails and when; and what a crash does to a worker's model.

    What a worker is computing when it crashes is lost. What it has handed to the network still
    goes out, and lies there ready for it when it comes back; what arrives while it is away is lost
    and sent again, as any lost message is.

    Attributes:
        workers: outages, {worker, down_s, up_s} each, or {mean_up_s, mean_down_s} for crashes of
            all workers at random.
        links: outages, {between = [a, b], down_s, up_s} each, or {mean_up_s, mean_down_s}. Those of
            links that the graph doesn't have make no difference: it may be another for each seed.
        model: what a worker begins with when it comes back: "keep" (its last committed model) or
            "reset" (the initial model).
    """

    workers: RandomOutages | Annotated[tuple[WorkerOutage, ...], Field(strict=False)] = ()
    links: RandomOutages | Annotated[tuple[LinkOutage, ...], Field(strict=False)] = ()
    model: Literal["keep", "reset"] = "keep"

    @field_validator("workers", "links", mode="before")
    @classmethod
    def _by_shape(cls, value: object, info: ValidationInfo) -> object:
        """Of a table tells what is wrong with it as means only, of a list as single outages."""
        try:
            if isinstance(value, list | tuple):
                return _GIVEN[info.field_name].validate_python(value)
            means = set(RandomOutages.model_fields)
            if isinstance(value, dict) and (not value or means & value.keys()):
                return RandomOutages.model_validate(value)
        except ValidationError as error:
            raise NestedError(error.errors(), RandomOutages) from None
        if isinstance(value, RandomOutages):
            return value
        raise ValueError("must be a list, one table for each outage, or {mean_up_s, mean_down_s}")

    def check(self, workers: int) -> None:
        """Raises ValueError for a worker that there is not, or outages that overlap."""
        if not isinstance(self.workers, RandomOutages):
            for place, one in enumerate(self.workers):
                _known(f"workers.{place}.worker", one.worker, workers)
            _apart("workers", self.workers, [one.worker for one in self.workers])
        if not isinstance(self.links, RandomOutages):
            for place, link in enumerate(self.links):
                for end in link.between:
                    _known(f"links.{place}.between", end, workers)
            _apart("links", self.links, [frozenset(link.between) for link in self.links])


def _known(key: str, worker: int, workers: int) -> None:
    if worker >= workers:
        raise ValueError(f"{key} = {worker}: the cluster has {workers} workers, numbered from 0")


def _apart(key: str, outages: Sequence[_Given], names: Sequence[Hashable]) -> None:
    """Raises ValueError where two outages of the same one overlap or touch."""
    before: dict[Hashable, int] = {}
    for place in sorted(range(len(outages)), key=lambda place: outages[place].down_s):
        other = before.get(names[place])
        if other is not None:
            down_s, up_s = outages[other].outage()
            if outages[place].down_s <= up_s:
                raise ValueError(
                    f"{key}.{place}.down_s = {outages[place].down_s:g}: overlaps with the same "
                    f"one's outage {key}.{other}, from {down_s:g} s "
                    f"{'on, for good' if isinf(up_s) else f'to {up_s:g} s'}; must begin after it"
                )
        before[names[place]] = place


class Outages:
    """The outages of one worker or link.

    Args:
        coming: (down, up) one after another, apart; as many as are asked for.
    """

    def __init__(self, coming: Iterator[Outage]) -> None:
        self._coming = coming
        # Beginnings and ends in turn, as far as anybody has asked.
        self._changes: list[float] = []

    def __iter__(self) -> Iterator[Outage]:
        """All of them, from the first."""
        for k in count(0, 2):
            while len(self._changes) <= k:
                if not self._extend():
                    return
            yield self._changes[k], self._changes[k + 1]

    def _extend(self) -> bool:
        outage = next(self._coming, None)
        if outage is not None:
            self._changes += outage
            if len(self._changes) > 2 * _MOST:
                raise SimulationError(
                    f"faults: a worker or link is down more than {_MOST:,} times by {outage[1]:g} "
                    "s; outages must be rarer, or the trial shorter"
                )
        return outage is not None

    def _after(self, time_s: float) -> int:
        """How many changes there are up to a time."""
        while not self._changes or self._changes[-1] <= time_s:
            if not self._extend():
                break
        return bisect_right(self._changes, time_s)

    def up_s(self, time_s: float) -> float:
        """The first time from time_s on at which it is up; inf if there is none."""
        place = self._after(time_s)
        return self._changes[place] if place % 2 else time_s

    def between(self, start_s: float, end_s: float) -> bool:
        """Whether it is down at any time from start_s to end_s."""
        before, until = self._after(start_s), self._after(end_s)
        return before % 2 == 1 or until > before


class FaultSchedule:
    """All outages of a trial.

    Args:
        faults: the scenario's table; None for none.
        streams: names random outages by worker, and by the two ends of a link.
        workers: how many may fail; a server, whose number comes after theirs, never does.
    """

    def __init__(self, faults: Faults | None, streams: Streams, workers: int) -> None:
        self._faults, self._streams = faults or Faults(), streams
        self._count = workers
        self._workers: dict[int, Outages] = {}
        self._links: dict[tuple[int, int], Outages] = {}

    @property
    def any(self) -> bool:
        """Whether anything fails at all."""
        return bool(self._faults.workers or self._faults.links)

    @property
    def reset(self) -> bool:
        """Whether a crash costs a worker its model."""
        return self._faults.model == "reset"

    def worker(self, worker: int) -> Outages:
        """A worker's outages."""
        if worker not in self._workers:
            given = self._faults.workers
            if worker >= self._count:
                found = _listed([])
            elif isinstance(given, RandomOutages):
                found = Outages(self._random(given, worker, 0))
            else:
                found = _listed([o.outage() for o in given if o.worker == worker])
            self._workers[worker] = found
        return self._workers[worker]

    def link(self, a: int, b: int) -> Outages:
        """The outages of the link between two workers."""
        key = min(a, b), max(a, b)
        if key not in self._links:
            given = self._faults.links
            if isinstance(given, RandomOutages):
                found = Outages(self._random(given, key[0], 1 + key[1]))
            else:
                found = _listed([o.outage() for o in given if set(o.between) == {a, b}])
            self._links[key] = found
        return self._links[key]

    def _random(self, means: RandomOutages, first: int, second: int) -> Iterator[Outage]:
        now_s = 0.0
        for start in count(0, 2 * _BLOCK):
            names = np.arange(start, start + 2 * _BLOCK)
            draws = self._streams.uniforms("faults", first, second, names).tolist()
            for u, v in zip(draws[::2], draws[1::2], strict=True):
                down_s = now_s - means.mean_up_s * log1p(-u)
                now_s = down_s - means.mean_down_s * log1p(-v)
                yield down_s, now_s


def _listed(outages: list[Outage]) -> Outages:
    return Outages(iter(sorted(outages)))
