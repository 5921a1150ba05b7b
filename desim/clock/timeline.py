"""The record of who did what from when to when.

Rows are kept as they come, a broadcast as one entry, and are turned into columns and handed to a
sink in large pieces, so that memory doesn't grow with simulated time.
"""

from array import array
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from desim.schema.results import ACTIVITIES

Columns = dict[str, npt.NDArray[Any]]
Sink = Callable[[Columns], None]

#: The kinds of interval, in the order of their codes.
KINDS = ACTIVITIES

#: Columns and their types. `kind` is the place in KINDS. `receive` runs from a message's departure
#: to its arrival, with the sender as peer, and `drop` likewise for one that doesn't arrive; peer is
#: -1 in all other rows. A `compute` without samples was cut off by a crash, a message or the
#: end of the trial, or its deadline came before the first. `step` is a broadcast's tag, or else the
#: local step.
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

#: Samples of one gradient that their column holds.
MOST_SAMPLES = 2**31 - 1

_PIECE = 200_000


class Timeline:
    """Intervals of every kind.

    Args:
        sink: is given the rows as columns, a piece at a time; None drops them.
    """

    def __init__(self, sink: Sink | None) -> None:
        self._sink = sink
        self._clear()

    def _clear(self) -> None:
        # Flat arrays: a list of tuples would cost ten times as much to turn into columns. Seven
        # doubles an interval (worker, kind, start, end, step, bits, samples), all exact.
        self._intervals = array("d")
        # Messages that travel at the same time: their targets, and six doubles together (source,
        # step, bits, departure, arrival, number).
        self._targets, self._passages = array("i"), array("d")
        # The same of messages that are lost, six doubles each: target, departure, end, step,
        # source, bits.
        self._lost = array("d")

    def compute(self, worker: int, start_s: float, end_s: float, step: int, samples: int) -> None:
        """A gradient over `samples` samples."""
        if self._sink:
            self._intervals.extend((worker, 0, start_s, end_s, step, 0, samples))
            self._flush_if_long()

    def wait(self, worker: int, start_s: float, end_s: float, step: int) -> None:
        """A worker that stands idle."""
        if self._sink:
            self._intervals.extend((worker, 1, start_s, end_s, step, 0, 0))

    def send(self, worker: int, start_s: float, end_s: float, step: int, bits: int) -> None:
        """Messages that go out together, until the last has left; bits over all of them."""
        if self._sink:
            self._intervals.extend((worker, 2, start_s, end_s, step, bits, 0))
            self._flush_if_long()

    def average(self, worker: int, start_s: float, end_s: float, step: int) -> None:
        """A worker that adds up models."""
        if self._sink:
            self._intervals.extend((worker, 4, start_s, end_s, step, 0, 0))

    def compress(self, worker: int, start_s: float, end_s: float, step: int) -> None:
        """A worker that compresses a model."""
        if self._sink:
            self._intervals.extend((worker, 5, start_s, end_s, step, 0, 0))

    def down(self, worker: int, start_s: float, end_s: float, step: int) -> None:
        """A worker that is away."""
        if self._sink:
            self._intervals.extend((worker, 6, start_s, end_s, step, 0, 0))

    def drop(
        self, target: int, source: int, departs_s: float, arrives_s: float, step: int, bits: int
    ) -> None:
        """A message that was lost on its way."""
        if self._sink:
            self._lost.extend((target, departs_s, arrives_s, step, source, bits))

    def receive(
        self,
        targets: "array[int]",
        source: int,
        departs_s: float,
        arrives_s: float,
        step: int,
        bits: int,
    ) -> None:
        """Messages of `bits` bits each that travel at the same time to several targets."""
        if self._sink:
            self._targets.extend(targets)
            self._passages.extend((source, step, bits, departs_s, arrives_s, len(targets)))

    def _flush_if_long(self) -> None:
        if len(self._intervals) + len(self._targets) + len(self._lost) >= _PIECE:
            self.flush()

    def flush(self) -> None:
        """Hands over what has been recorded so far."""
        if self._sink and (self._intervals or self._targets or self._lost):
            self._sink(self._columns())
        self._clear()

    def _columns(self) -> Columns:
        worker, kind, start, end, step, bits, samples = np.array(self._intervals).reshape(-1, 7).T
        passages = np.array(self._passages).reshape(-1, 6)
        count = passages[:, 5].astype(int)
        peer, tag, size, departs, arrives = np.repeat(passages[:, :5], count, axis=0).T
        n = len(self._targets)
        received: Columns = {
            "worker": np.array(self._targets),
            "kind": np.full(n, KINDS.index("receive")),
            "start_s": departs,
            "end_s": arrives,
            "step": tag,
            "peer": peer,
            "bits": size,
            "samples": np.zeros(n),
        }
        target, left, ended, lost_step, sender, lost_bits = np.array(self._lost).reshape(-1, 6).T
        lost: Columns = {
            "worker": target,
            "kind": np.full(len(target), KINDS.index("drop")),
            "start_s": left,
            "end_s": ended,
            "step": lost_step,
            "peer": sender,
            "bits": lost_bits,
            "samples": np.zeros(len(target)),
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
            key: np.concatenate([part[key].astype(dtype) for part in (own, received, lost)])
            for key, dtype in DTYPES.items()
        }
