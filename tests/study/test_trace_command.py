"""`desim trace` of real runs: all messages are there, and a wrong name lists the right ones."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tiny import Call, write

OVERLAPPED = {
    "kind": "async-dsgd",
    "label": "overlapped",
    "batch": 5,
    "sending": "overlapped",
    "step_size": {"kind": "constant", "alpha": 0.5},
}


@pytest.mark.parametrize(
    "link",
    [
        {"kind": "dedicated", "latency_s": 0.01, "bandwidth_bps": 40_000},
        {"kind": "dedicated", "latency_s": 0.0, "bandwidth_bps": float("inf")},
        {"kind": "dedicated", "bandwidth_bps": {"low": 1e3, "high": 1e6}},
    ],
)
def test_every_message_of_a_run_is_a_flow(tmp_path: Path, desim: Call, link: Any) -> None:
    file, out = tmp_path / "tiny.toml", tmp_path / "results"
    write(file, {"algorithms.1": OVERLAPPED, "network.link": link, "stop.rounds": 10})
    assert desim("run", file, "--out", out, "--jobs", 1, "--no-train", "--quiet").code == 0
    for trial in ("DSGD-seed0", "overlapped-seed0"):
        ended = desim("trace", out, "--trial", trial, "--out", tmp_path / "trace.json")
        assert (ended.code, ended.err) == (0, "")
        events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
        timeline = pq.read_table(out / "trials" / trial / "timeline.parquet").to_pandas()
        for phase, kinds in (("X", ["compute", "wait", "send"]), ("f", ["receive"])):
            found = [e for e in events if e["ph"] == phase and e["name"] != "arrival"]
            assert len(found) == timeline["kind"].isin(kinds).sum()
            assert (
                sum(e["args"]["bits"] for e in found)
                == timeline.loc[timeline["kind"].isin(kinds), "bits"].sum()
            )
    complaint = desim("trace", out, "--trial", "DSGD").complaint
    assert complaint.endswith("choose from DSGD-seed0, overlapped-seed0")
