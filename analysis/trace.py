"""A trial's timeline as a trace-event file, for Perfetto and chrome://tracing.

The trial is a process. A worker is a thread with its compute, average, compress, wait and down
intervals; what it sends and what it receives stand on threads of their own below it, since both go
on while it computes. A server has threads like a worker's, below all of these. A message is a flow
from the send that it belongs to, to its arrival; one that was dropped ends in a slice `dropped` at
its receiver instead.

Format: "Trace Event Format", Google, the object form with `traceEvents`.
"""

import gzip
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from desim.analysis.errors import ResultsError
from desim.analysis.files import whole
from desim.analysis.results import trials

# Viewers count whole nanoseconds, and a flow binds to no slice of length zero.
_PER_S, _INSTANT_NS = 1e9, 1
_PID = 1
# 0 is the idle thread of every viewer, and a thread numbered like its process is its main one.
_FIRST_TID = 2
_LISTED = 12
# How a message's flow ends.
_ENDS = {"receive": "arrival", "drop": "dropped"}


def trace(folder: str | Path, trial: str, out: str | Path | None = None) -> Path:
    """Writes the trace of one trial, a piece of its timeline at a time.

    Times are whole nanoseconds. A slice that would have no length, such as an arrival, gets one
    nanosecond, so that flows can bind to it. A message whose sending isn't in its piece of the
    timeline (the simulator never splits the two) has no flow.

    Args:
        folder: what `desim run` wrote.
        trial: name of a finished trial.
        out: the file; compressed if its name ends in .gz. None for
            `report/trace-TRIAL.json.gz` in the results folder.

    Returns:
        The file, which is there whole or not at all.

    Raises:
        ResultsError: no such trial, no timeline, or a file that can't be written.
    """
    root = Path(folder)
    found = trials(root).set_index("trial")
    if trial not in found.index:
        raise ResultsError(f"--trial = {trial!r}: {_choice(root, list(found.index))}")
    source = root / "trials" / trial / "timeline.parquet"
    if not source.is_file():
        raise ResultsError(
            f"{source}: is missing; call `desim run` again, it runs a trial anew that isn't whole"
        )
    target = root / "report" / f"trace-{trial}.json.gz" if out is None else Path(out)
    try:
        if out is None:
            target.parent.mkdir(exist_ok=True)
        with whole(target) as plain, _packed(plain, target) as stream:
            _write(stream, _pieces(source), trial, found.loc[trial])
    except OSError as error:
        raise ResultsError(
            f"--out = {target}: must be a file that can be written ({error})"
        ) from None
    return target


def _choice(root: Path, names: list[str]) -> str:
    listed = ", ".join(names[:_LISTED])
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"no finished trial of this name in {root}; choose from {listed}{more}"


def _packed(plain: BinaryIO, path: Path) -> AbstractContextManager[IO[bytes]]:
    if path.suffix != ".gz":
        return nullcontext(plain)
    # Without a name and a time the same trial gives the same bytes.
    return cast(IO[bytes], gzip.GzipFile("", "wb", 6, plain, mtime=0))


def _pieces(source: Path) -> Iterator[pd.DataFrame]:
    """The row groups of a timeline, which hold a send and its messages together."""
    try:
        with pq.ParquetFile(source) as timeline:
            for piece in range(timeline.num_row_groups):
                yield timeline.read_row_group(piece).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise ResultsError(
            f"{source}: can't be read as a timeline ({error}); remove it and call `desim run` "
            "again, it runs the trial anew"
        ) from None


def _write(
    stream: IO[bytes], pieces: Iterator[pd.DataFrame], trial: str, about: "pd.Series[Any]"
) -> None:
    other = {"trial": trial, "algorithm": str(about["algorithm"]), "seed": int(about["seed"])}
    head = {"displayTimeUnit": "ms", "otherData": other}
    stream.write((json.dumps(head)[:-1] + ', "traceEvents": [\n').encode())
    tracks = _Tracks(int(about["workers"]), server=bool(about["server"]))
    first_id = 0
    for rows in pieces:
        lines, first_id = _events(rows, tracks, first_id)
        stream.write("".join(f"{line},\n" for line in lines).encode())
    # Last, since only now all threads are known; viewers read names wherever they stand.
    stream.write(",\n".join(tracks.names(f"{about['algorithm']}, trial {trial}")).encode())
    stream.write(b"\n]}\n")


class _Tracks:
    """The threads: one a worker, and below it as many as keep its slices from overlapping.

    Args:
        workers: how many.
        server: whether there is one, numbered like one more worker.
    """

    def __init__(self, workers: int, *, server: bool) -> None:
        self._server = workers
        nodes = range(workers + server)
        self._next = _FIRST_TID + len(nodes)
        self._names = {_FIRST_TID + w: (w, 0, self._name(w)) for w in nodes}
        self._lanes: dict[tuple[int, str], list[list[int]]] = {
            (w, "work"): [[_FIRST_TID + w, 0]] for w in nodes
        }

    def _name(self, worker: int) -> str:
        return "server" if worker == self._server else f"worker {worker}"

    def place(self, worker: int, use: str, start_ns: int, end_ns: int) -> int:
        """The first of a worker's threads for this use that is free from start_ns on."""
        lanes = self._lanes.setdefault((worker, use), [])
        for lane in lanes:
            if lane[1] <= start_ns:
                lane[1] = end_ns
                return lane[0]
        tid, self._next = self._next, self._next + 1
        lanes.append([tid, end_ns])
        number = f" {len(lanes)}" if len(lanes) > 1 else ""
        order = {"work": 1, "sends": 2, "arrivals": 3}[use]
        self._names[tid] = (worker, order, f"{self._name(worker)} {use}{number}")
        return tid

    def names(self, process: str) -> list[str]:
        """Metadata events: names, and the order from the first worker to the last."""
        events: list[dict[str, Any]] = [
            {"ph": "M", "name": "process_name", "pid": _PID, "tid": 0, "args": {"name": process}}
        ]
        for rank, (tid, entry) in enumerate(sorted(self._names.items(), key=_by_worker)):
            of = {"ph": "M", "pid": _PID, "tid": tid}
            events.append({**of, "name": "thread_name", "args": {"name": entry[2]}})
            events.append({**of, "name": "thread_sort_index", "args": {"sort_index": rank}})
        return [json.dumps(event) for event in events]


def _by_worker(item: tuple[int, tuple[int, int, str]]) -> tuple[int, int, int]:
    tid, (worker, order, _) = item
    return worker, order, tid


def _events(rows: pd.DataFrame, tracks: _Tracks, first_id: int) -> tuple[list[str], int]:
    """The events of a piece by their times, and the first number free for the next flows."""
    rows = rows.assign(
        start_ns=_nanoseconds(rows["start_s"]), end_ns=_nanoseconds(rows["end_s"])
    ).sort_values("start_ns", kind="stable")
    passing = rows["kind"].isin(list(_ENDS))
    own, messages = rows[~passing].copy(), rows[passing]
    sends = (own["kind"] == "send").to_numpy()
    shortest = own["start_ns"] + np.where(sends, _INSTANT_NS, 0)
    own["end_ns"] = np.maximum(own["end_ns"], shortest)
    own["tid"] = [
        tracks.place(worker, "sends" if send else "work", start_ns, end_ns)
        for worker, send, start_ns, end_ns in zip(
            own["worker"].tolist(),
            sends,
            own["start_ns"].tolist(),
            own["end_ns"].tolist(),
            strict=True,
        )
    ]
    events = [*_slices(own), *_messages(messages, own[sends], tracks, first_id)]
    # Stable: at equal times a slice stands before the flow that binds to it.
    events.sort(key=lambda event: event[0])
    return [text for _, text in events], first_id + len(messages)


def _slices(own: pd.DataFrame) -> Iterator[tuple[int, str]]:
    columns = ("kind", "start_ns", "end_ns", "tid", "step", "bits", "samples")
    for kind, start_ns, end_ns, tid, step, bits, samples in zip(
        *(own[name].tolist() for name in columns), strict=True
    ):
        args = f'"step":{step},"bits":{bits},"samples":{samples}'
        yield start_ns, _slice(kind, start_ns, end_ns - start_ns, tid, args)


def _messages(
    messages: pd.DataFrame, sends: pd.DataFrame, tracks: _Tracks, first_id: int
) -> Iterator[tuple[int, str]]:
    found = _with_sends(
        messages.assign(sender=messages["peer"]),
        sends.rename(columns={"worker": "sender", "tid": "from_tid"}),
    )
    departs = np.minimum(found["start_ns"], found["left_ns"].astype(np.int64) - _INSTANT_NS)
    found["end"] = found["kind"].astype(str).map(_ENDS)
    ends = found.groupby(["worker", "end_ns", "end"])["bits"].agg(["sum", "size"])
    places = {}
    for (worker, at_ns, end), bits, size in zip(
        ends.index, ends["sum"].tolist(), ends["size"].tolist(), strict=True
    ):
        tid = tracks.place(worker, "arrivals", at_ns, at_ns + _INSTANT_NS)
        places[worker, at_ns, end] = tid
        yield at_ns, _slice(end, at_ns, _INSTANT_NS, tid, f'"messages":{size},"bits":{bits}')
    columns = ("worker", "end_ns", "end", "from_tid", "sender", "step", "bits")
    for number, (departs_ns, row) in enumerate(
        zip(
            departs.tolist(),
            zip(*(found[name].tolist() for name in columns), strict=True),
            strict=True,
        ),
        first_id,
    ):
        worker, at_ns, end, from_tid, sender, step, bits = row
        name = "dropped message" if end == "dropped" else "message"
        args = f'"step":{step},"bits":{bits},"from":{sender},"to":{worker}'
        yield departs_ns, _flow("s", name, number, departs_ns, int(from_tid), args)
        yield at_ns, _flow("f", name, number, at_ns, places[worker, at_ns, end], args)


def _with_sends(messages: pd.DataFrame, sends: pd.DataFrame) -> pd.DataFrame:
    """Messages with `left_ns` and `from_tid` of their sends; those without one are left out.

    It is the sender's last one of that step that had begun when the message departed. Where as many
    have begun at that instant as messages depart, each has one of its own: the first to end is that
    of the first to arrive.
    """
    alike = ["sender", "step", "start_ns"]
    messages, sends = (_in_turn(rows, alike) for rows in (messages, sends))
    starts = sends.drop_duplicates(alike)[[*alike, "turns"]].rename(columns={"turns": "begun"})
    found = pd.merge_asof(
        messages,
        starts.assign(begun_ns=starts["start_ns"]),
        on="start_ns",
        by=["sender", "step"],
    ).dropna(subset="begun")
    own = found["turns"] == found["begun"]
    found["turn"] = np.where(own, found["turn"], found["begun"].astype(np.int64) - 1)
    return found.merge(
        sends[["sender", "step", "start_ns", "turn", "end_ns", "from_tid"]].rename(
            columns={"start_ns": "begun_ns", "end_ns": "left_ns"}
        ),
        on=["sender", "step", "begun_ns", "turn"],
    )


def _in_turn(rows: pd.DataFrame, alike: list[str]) -> pd.DataFrame:
    """With the place of each among those alike, by their ends, and the number of these."""
    groups = rows.sort_values("end_ns", kind="stable").groupby(alike)
    return rows.assign(turn=groups.cumcount(), turns=groups["end_ns"].transform("size"))


def _slice(kind: str, start_ns: int, length_ns: int, tid: int, args: str) -> str:
    return (
        f'{{"ph":"X","name":"{kind}","cat":"{kind}","pid":{_PID},"tid":{tid},'
        f'"ts":{_microseconds(start_ns)},"dur":{_microseconds(length_ns)},"args":{{{args}}}}}'
    )


def _flow(phase: str, name: str, number: int, at_ns: int, tid: int, args: str) -> str:
    return (
        f'{{"ph":"{phase}","bp":"e","id":{number},"name":"{name}","cat":"message","pid":{_PID},'
        f'"tid":{tid},"ts":{_microseconds(at_ns)},"args":{{{args}}}}}'
    )


def _nanoseconds(time_s: "pd.Series[Any]") -> NDArray[np.int64]:
    whole: NDArray[np.int64] = np.rint(time_s.to_numpy(dtype=float) * _PER_S).astype(np.int64)
    return whole


def _microseconds(time_ns: int) -> str:
    """Exactly, with the nanoseconds behind the point."""
    return f"{time_ns // 1000}.{time_ns % 1000:03d}"
