"""The trace of a timeline keeps the rules of the trace event format and the timeline's totals."""

import gzip
import json
from collections import defaultdict

import pandas as pd
import pyarrow.parquet as pq
import pytest
from fabricated import SERVER, served_rounds

from desim import analysis
from desim.analysis.errors import ResultsError

REQUIRED = {
    "X": {"name", "cat", "pid", "tid", "ts", "dur", "args"},
    "s": {"name", "cat", "pid", "tid", "ts", "id", "bp", "args"},
    "f": {"name", "cat", "pid", "tid", "ts", "id", "bp", "args"},
    "M": {"name", "pid", "tid", "args"},
}
NS = 1e-3  # in microseconds: what viewers tell apart, and what times are rounded to


def events_of(path):
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)["traceEvents"]


def by_track(events):
    tracks = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            tracks[event["tid"]].append(event)
    return tracks


def names(events):
    return {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}


def check_format(events, server=None):
    """Fields of each phase, named tracks, slices that nest, flows with two ends that bind."""
    for event in events:
        assert REQUIRED[event["ph"]] <= event.keys()
        assert event.get("ts", 0) >= 0
        assert event.get("dur", 0) >= 0
    tracks, named = by_track(events), names(events)
    assert tracks.keys() <= named.keys()
    assert len(set(named.values())) == len(named)
    for slices in tracks.values():
        open_until = []
        for event in sorted(slices, key=lambda e: (e["ts"], -e["dur"])):
            while open_until and open_until[-1] <= event["ts"] + NS / 2:
                open_until.pop()
            end = event["ts"] + event["dur"]
            assert not open_until or end <= open_until[-1] + NS / 2
            open_until.append(end)
    starts, ends = ({e["id"]: e for e in events if e["ph"] == phase} for phase in "sf")
    assert starts.keys() == ends.keys()
    assert len(starts) == sum(e["ph"] == "s" for e in events)
    assert len(ends) == sum(e["ph"] == "f" for e in events)
    spans = {
        tid: pd.IntervalIndex.from_arrays(
            *zip(*((e["ts"] - NS / 4, e["ts"] + e["dur"] - NS / 4) for e in slices), strict=True),
            closed="left",
        )
        for tid, slices in tracks.items()
    }
    for number, start in starts.items():
        end = ends[number]
        assert start["ts"] <= end["ts"]
        assert start["name"] == end["name"]
        ended = {"message": "arrival", "dropped message": "dropped"}[end["name"]]
        for flow, kind in ((start, "send"), (end, ended)):
            (place,) = spans[flow["tid"]].get_indexer_for([flow["ts"]])
            assert tracks[flow["tid"]][place]["name"] == kind
        sender, receiver = (
            "server" if number == server else f"worker {number}"
            for number in (start["args"]["from"], end["args"]["to"])
        )
        assert named[start["tid"]].startswith(f"{sender} sends")
        assert named[end["tid"]].startswith(f"{receiver} arrivals")


def check_totals(events, timeline):
    for kind in ("compute", "wait", "send", "compress", "down"):
        rows = timeline[timeline["kind"] == kind]
        slices = [e for e in events if e["name"] == kind]
        assert len(slices) == len(rows)
        total_us = sum(e["dur"] for e in slices)
        assert total_us == pytest.approx(
            (rows["end_s"] - rows["start_s"]).sum() * 1e6, abs=2 * NS * len(rows)
        )
        for name in ("step", "bits", "samples"):
            assert sum(e["args"][name] for e in slices) == rows[name].sum()
    for kind, name, end in (
        ("receive", "message", "arrival"),
        ("drop", "dropped message", "dropped"),
    ):
        passed = timeline[timeline["kind"] == kind]
        ends = [e for e in events if e["ph"] == "f" and e["name"] == name]
        slices = [e for e in events if e["name"] == end]
        assert len(ends) == len(passed) == sum(e["args"]["messages"] for e in slices)
        assert sum(e["args"]["bits"] for e in ends) == passed["bits"].sum()
        assert sum(e["ts"] for e in ends) == pytest.approx(passed["end_s"].sum() * 1e6)


def row(worker, kind, start_s, end_s, step=0, peer=-1, bits=0, samples=0):
    values = (worker, kind, float(start_s), float(end_s), step, peer, bits, samples)
    columns = ("worker", "kind", "start_s", "end_s", "step", "peer", "bits", "samples")
    return dict(zip(columns, values, strict=True))


@pytest.fixture
def awkward(fabricate):
    """Sends that overlap computing and each other, of no length, and late arrivals."""
    made = fabricate("<b>")
    rows = [
        row(0, "compute", 0, 1, samples=6),
        row(0, "send", 1, 3, bits=200),
        row(1, "receive", 1, 2, peer=0, bits=100),
        row(2, "receive", 1, 20, peer=0, bits=100),
        row(0, "compute", 1, 1.5, step=1, samples=6),
        row(0, "send", 1.5, 2.5, step=1, bits=100),
        row(1, "receive", 1.75, 2, step=1, peer=0, bits=100),
        row(1, "send", 0, 0, bits=0),
        row(0, "receive", 0, 0, peer=1),
        row(1, "compute", 0, 0),
        row(1, "wait", 0, 2),
        row(2, "wait", 0.1 + 0.2, 1 / 3),
    ]
    name = made.decay("<b>", 0, 4.0, timeline=rows)
    return made.folder, name, pd.DataFrame(rows)


def test_a_crash_a_lost_message_and_compressing_are_in_it(fabricate, tmp_path):
    made = fabricate("a")
    rows = [
        row(0, "compress", 0, 1),
        row(0, "send", 1, 3, bits=300),
        row(1, "compute", 0, 1.5),  # cut off
        row(1, "down", 1.5, 8),
        row(1, "drop", 1, 2, peer=0, bits=100),
        row(2, "drop", 1, 2.5, peer=0, bits=100),
        row(2, "receive", 1, 2.5, peer=0, bits=100),  # of the same worker at the same time
        row(0, "send", 9, 10, bits=100),  # once more
        row(1, "receive", 9, 10, peer=0, bits=100),
    ]
    name = made.decay("a", 0, 4.0, timeline=rows)
    events = events_of(analysis.trace(made.folder, name, tmp_path / "out.json"))
    check_format(events)
    check_totals(events, pd.DataFrame(rows))
    (down,) = (e for e in events if e["name"] == "down")
    assert names(events)[down["tid"]] == "worker 1"
    assert (down["ts"], down["dur"]) == (1.5e6, 6.5e6)


def test_messages_that_leave_one_after_another_flow_from_their_own_sends(fabricate, tmp_path):
    made = fabricate("a")
    rows = []
    for target in (1, 2):
        rows.append(row(0, "send", target - 1, target, bits=100))
        rows.append(row(target, "receive", target - 1, target, peer=0, bits=100))
    name = made.decay("a", 0, 4.0, timeline=rows)
    events = events_of(analysis.trace(made.folder, name, tmp_path / "out.json"))
    check_format(events)
    check_totals(events, pd.DataFrame(rows))
    assert {e["args"]["to"]: e["ts"] for e in events if e["ph"] == "s"} == {1: 0, 2: 1e6}
    assert sum(name.startswith("worker 0 sends") for name in names(events).values()) == 1


def test_a_server_has_tracks_below_the_workers(fabricate, tmp_path):
    made = fabricate("a")
    name = made.decay("a", 0, 4.0, server=True)
    events = events_of(analysis.trace(made.folder, name, tmp_path / "out.json"))
    rows = pd.DataFrame(served_rounds())
    check_format(events, server=SERVER)
    check_totals(events, rows)
    order = {e["args"]["sort_index"]: e["tid"] for e in events if e["name"] == "thread_sort_index"}
    tracks = [names(events)[order[rank]] for rank in sorted(order)]
    assert tracks[-3:] == ["server", "server sends", "server arrivals"]
    assert not any(track.startswith(f"worker {SERVER}") for track in tracks)
    (server,) = (tid for tid, track in names(events).items() if track == "server")
    assert {e["name"] for e in by_track(events)[server]} == {"wait"}


def test_of_messages_that_leave_together_each_flows_from_a_send_of_its_own(fabricate, tmp_path):
    made = fabricate("a")
    rows = [
        row(0, "send", 1, 2, bits=10),
        row(0, "send", 1, 3, bits=20),
        row(1, "receive", 1, 2.5, peer=0, bits=10),
        row(2, "drop", 1, 3.5, peer=0, bits=20),
        row(0, "send", 5, 6, step=1, bits=40),  # a broadcast: one for both
        row(1, "receive", 5, 6.5, step=1, peer=0, bits=20),
        row(2, "receive", 5, 6.5, step=1, peer=0, bits=20),
    ]
    name = made.decay("a", 0, 4.0, timeline=rows)
    events = events_of(analysis.trace(made.folder, name, tmp_path / "out.json"))
    check_format(events)
    check_totals(events, pd.DataFrame(rows))
    sends = {e["tid"]: e for e in events if e["name"] == "send" and e["args"]["step"] == 0}
    apart = [e for e in events if e["ph"] == "s" and e["args"]["step"] == 0]
    assert [sends[e["tid"]]["args"]["bits"] for e in apart] == [e["args"]["bits"] for e in apart]
    assert len({e["tid"] for e in events if e["ph"] == "s" and e["args"]["step"] == 1}) == 1


@pytest.mark.parametrize("ending", ["json", "json.gz"])
def test_overlapping_empty_and_late_intervals_keep_the_format(awkward, ending, tmp_path):
    folder, name, rows = awkward
    out = tmp_path / f"out.{ending}"
    assert analysis.trace(folder, name, out) == out
    events = events_of(out)
    check_format(events)
    check_totals(events, rows)
    assert list(tmp_path.glob("*.part")) == []
    assert "worker 0 sends 2" in names(events).values()


def test_every_worker_has_its_track_in_order_and_times_are_microseconds(awkward):
    folder, name, _ = awkward
    path = analysis.trace(folder, name)
    assert path.parent == folder / "report"
    events = events_of(path)
    order = {e["tid"]: e["args"]["sort_index"] for e in events if e["name"] == "thread_sort_index"}
    tracks = [name for _, name in sorted((order[tid], name) for tid, name in names(events).items())]
    assert [track for track in tracks if len(track.split()) == 2] == [
        f"worker {w}" for w in (0, 1, 2)
    ]
    assert tracks[:2] == ["worker 0", "worker 0 sends"]
    (first,) = (e for e in events if e["name"] == "compute" and e["args"]["step"] == 1)
    assert (first["ts"], first["dur"]) == (1e6, 5e5)
    assert first["args"]["samples"] == 6


def test_the_same_trial_gives_the_same_bytes(awkward, tmp_path):
    folder, name, _ = awkward
    one, two = tmp_path / "one.gz", tmp_path / "two.gz"
    analysis.trace(folder, name, one)
    analysis.trace(folder, name, two)
    assert one.read_bytes() == two.read_bytes()


def test_a_timeline_in_pieces_has_unique_flows(awkward, tmp_path):
    folder, name, rows = awkward
    path = folder / "trials" / name / "timeline.parquet"
    table = pq.read_table(path)
    with pq.ParquetWriter(path, table.schema) as writer:
        for start, length in ((0, 7), (7, 3), (10, 2)):
            writer.write_table(table.slice(start, length))
    events = events_of(analysis.trace(folder, name, tmp_path / "out.json"))
    check_format(events)
    check_totals(events, rows)


def test_what_cannot_be_traced_says_why_and_leaves_nothing(awkward, tmp_path):
    folder, name, _ = awkward
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ResultsError, match=f"no finished trial .* choose from {name}"):
        analysis.trace(folder, "../trials", tmp_path / "out.json")
    for out in (tmp_path / "missing" / "out.json", folder):
        with pytest.raises(ResultsError, match="must be a file that can be written"):
            analysis.trace(folder, name, out)
    timeline = folder / "trials" / name / "timeline.parquet"
    timeline.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(ResultsError, match="can't be read as a timeline"):
        analysis.trace(folder, name, tmp_path / "out.json")
    timeline.unlink()
    with pytest.raises(ResultsError, match="is missing; call `desim run` again"):
        analysis.trace(folder, name, tmp_path / "out.json")
    assert sorted(tmp_path.iterdir()) == before
