"""The record of who did what from when to when.

Rows are kept as they come, a broadcast as one entry, and are turned into columns and handed to a
sink in large pieces, so that memory doesn't grow with simulated time.
"""

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt

Columns = dict[str, npt.NDArray[Any]]
Sink = Callable[[Columns], None]

#: The kinds of interval, in the order of their codes.
KINDS = ("compute", "wait", "send", "receive")

#: Columns and their types. `kind` is the place in KINDS. `receive` runs from a message's departure
#: to its arrival, with the sender as peer; peer is -1 in all other rows.
DTYPES = {
    "worker": np.int32,
    "kind": np.int8,
    "start_s": np.float64,
    "end_s": np.float64,
    "step": np.int32,
    "peer": np.int32,
    "bits": np.int64,
    "samples": np.int32,
}

_PIECE = 200_000


class Timeline:
    """Intervals of compute, wait, send and receive.

    Args:
        sink: is given the rows as columns, a piece at a time; None drops them.
        until_s: intervals that begin later are not recorded.
    """

    def __init__(self, sink: Sink | None, until_s: float = inf) -> None:
        self._sink = sink
        self.until_s = until_s if sink else -inf
        # (worker, kind, start, end, step, bits, samples)
        self._intervals: list[tuple[int, int, float, float, int, int, int]] = []
        # (targets, source, departures, arrivals, step, bits) of one broadcast
        self._messages: list[tuple[list[int], int, list[float], list[float], int, int]] = []
        self._rows = 0

    def compute(
        self, worker: int, start_s: float, end_s: float, step: int, samples: int
    ) -> None:
        """A gradient over `samples` samples."""
        self._add(worker, 0, start_s, end_s, step, 0, samples)

    def wait(self, worker: int, start_s: float, end_s: float, step: int) -> None:
        """A worker that stands idle."""
        self._add(worker, 1, start_s, end_s, step, 0, 0)

    def send(
        self,
        source: int,
        targets: list[int],
        departures_s: list[float],
        arrivals_s: list[float],
        left_s: float,
        step: int,
        bits: int,
    ) -> None:
        """One broadcast: the sender's interval and each receiver's, with `bits` per message."""
        if targets and departures_s[0] <= self.until_s:
            self._add(source, 2, min(departures_s), left_s, step, bits * len(targets), 0)
            self._messages.append((targets, source, departures_s, arrivals_s, step, bits))
            self._rows += len(targets)

    def _add(
        self, worker: int, kind: int, start_s: float, end_s: float, step: int, bits: int, samples: int
    ) -> None:
        if start_s <= self.until_s:
            self._intervals.append((worker, kind, start_s, end_s, step, bits, samples))
            self._rows += 1
            if self._rows >= _PIECE:
                self.flush()

    def flush(self) -> None:
        """Hands over what has been recorded so far."""
        if self._sink and self._rows:
            self._sink(self._columns())
        self._intervals, self._messages, self._rows = [], [], 0

    def _columns(self) -> Columns:
        worker, kind, start, end, step, bits, samples = (
            np.array(column) for column in zip(*self._intervals, strict=True)
        )
        targets, source, departures, arrivals, tag, size = (
            zip(*self._messages, strict=True) if self._messages else ((),) * 6
        )
        lengths = [len(row) for row in targets]
        n = sum(lengths)

        def spread(values: Any, dtype: Any) -> npt.NDArray[Any]:
            return np.repeat(np.array(values, dtype), lengths)

        def joined(rows: Any, dtype: Any) -> npt.NDArray[Any]:
            flat = (value for row in rows for value in row)
            return np.fromiter(flat, dtype, count=n)

        received: Columns = {
            "worker": joined(targets, np.int32),
            "kind": np.full(n, KINDS.index("receive"), np.int8),
            "start_s": joined(departures, np.float64),
            "end_s": joined(arrivals, np.float64),
            "step": spread(tag, np.int32),
            "peer": spread(source, np.int32),
            "bits": spread(size, np.int64),
            "samples": np.zeros(n, np.int32),
        }
        own: Columns = {
            "worker": worker,
            "kind": kind,
            "start_s": start,
            "end_s": end,
            "step": step,
            "peer": np.full(len(worker), -1),
            "bits": bits,
            "samples": samples,
        }
        return {
            key: np.concatenate([own[key].astype(dtype), received[key]])
            for key, dtype in DTYPES.items()
        }
