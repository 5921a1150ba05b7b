"""Recorded speeds: each worker is as fast as a file says, continuously in time."""

from collections.abc import Iterator
from functools import cached_property
from itertools import count
from math import inf
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from desim.clock.stragglers.base import SpeedInTime, StragglerModel
from desim.schema.tables import NumberTable
from desim.streams import Streams

Steps = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


class Trace(StragglerModel):
    """V from a CSV or parquet file with the columns worker, start_s and speed.

    A speed holds from its start_s until the worker's next one. Each worker's rows are in order of
    time and begin at 0; a speed of 0 is a worker that stands still.

    Attributes:
        file: the path.
        repeat_s: the time after which the trace begins again, after the last start_s; left out,
            each worker's last speed holds to the end.
    """

    kind: ClassVar[str] = "trace"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ()

    file: str
    repeat_s: Annotated[float, Field(gt=0)] | None = None

    def speed(self, streams: Streams, worker: int) -> SpeedInTime:
        """The worker's rows, once, or repeated after each repeat_s."""
        return SpeedInTime(self._segments(*self.workers[worker]))

    def _segments(
        self, starts_s: npt.NDArray[np.float64], speeds: npt.NDArray[np.float64]
    ) -> Iterator[tuple[float, float]]:
        ends_s = [*starts_s[1:].tolist(), self.repeat_s or inf]
        for time in count():
            begin_s = time * self.repeat_s if self.repeat_s else 0.0
            for end_s, speed in zip(ends_s, speeds.tolist(), strict=True):
                yield begin_s + end_s, speed
            if self.repeat_s is None:
                return

    def check(self, workers: int) -> None:
        """Every worker must have rows, and no other.

        Raises:
            ValueError: the file can't be used for so many workers; one line with file and row.
        """
        table = self.table_read
        rule = f"unknown, the cluster has {workers} workers, numbered from 0"
        table.refuse(table.columns["worker"] >= workers, "worker", rule)
        known = len(self.workers)
        if known < workers:
            raise ValueError(
                f"file = {self.file!r}: has rows of {known} workers only, the cluster has {workers}"
            )

    def mean_speed(self) -> float:
        """Over all workers, and over time until repeat_s or else the start of the last row."""
        return float(np.mean([self.mean_speed_of(worker) for worker in range(len(self.workers))]))

    def mean_speed_of(self, worker: int) -> float:
        """Over the same time as `mean_speed`, the worker's own rows only."""
        starts_s, speeds = self.workers[worker]
        if self.repeat_s is None and len(starts_s) == 1:
            return float(speeds[0])
        lengths = np.diff(starts_s, append=self.repeat_s or starts_s[-1])
        return float(np.average(speeds, weights=lengths))

    def mean_slowdown(self) -> float:
        """Time per work in the long run, 1 / mean_speed."""
        mean = self.mean_speed()
        return 1 / mean if mean else inf

    @cached_property
    def table_read(self) -> NumberTable:
        """The file's rows, each checked for itself.

        Raises:
            ValueError: the file breaks a rule; one line with file and row.
        """
        table = NumberTable(self.file, ["worker"], ["start_s", "speed"])
        start_s = table.columns["start_s"]
        table.refuse(start_s < 0, "start_s", "must not be negative")
        table.refuse(table.columns["speed"] < 0, "speed", "must not be negative")
        if self.repeat_s is not None:
            rule = f"must be before repeat_s = {self.repeat_s:g}"
            table.refuse(start_s >= self.repeat_s, "start_s", rule)
        return table

    @cached_property
    def workers(self) -> tuple[Steps, ...]:
        """Each worker's (starts_s, speeds).

        Raises:
            ValueError: the file breaks a rule; one line with file and row.
        """
        table = self.table_read
        worker, start_s, speed = (table.columns[key] for key in ("worker", "start_s", "speed"))
        order = np.argsort(worker, kind="stable")
        first = np.append(True, np.diff(worker[order]) > 0)
        bad = np.zeros(len(order), bool)
        bad[order] = first & (start_s[order] > 0)
        table.refuse(bad, "start_s", "a worker's first row must start at 0")
        bad[order[1:]] = ~first[1:] & (np.diff(start_s[order]) <= 0)
        table.refuse(bad, "start_s", "must be later than in the worker's row before")
        there = worker[order][first]
        missing = np.flatnonzero(there != np.arange(len(there)))
        if len(missing):
            raise ValueError(
                f"file = {self.file!r}: has no row of worker {missing[0]}; must have some of each"
            )
        places = np.flatnonzero(first)[1:]
        starts, speeds = (np.split(column[order], places) for column in (start_s, speed))
        still = [i for i, row in enumerate(speeds) if not row.any()]
        if still:
            raise ValueError(
                f"file = {self.file!r}: worker {still[0]} has speed 0 in all rows; it must work at "
                "some time"
            )
        return tuple(zip(starts, speeds, strict=True))
