"""A trial whose loss isn't finite any more ends and says when; the others go on."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from tiny import Call, write


def test_one_method_diverges(tmp_path: Path, desim: Call) -> None:
    changes = {
        "problem.model": "softmax",
        "stop.rounds": 6,
        "algorithms.1.step_size.alpha": 1e38,
    }
    file, out = write(tmp_path / "tiny.toml", changes), tmp_path / "results"
    ended = desim("run", file, "--out", out, "--jobs", 1)
    assert (ended.code, ended.err) == (0, "")
    assert "1 of 1 seeds diverged, first at" in " ".join(ended.out.split())

    manifest = json.loads((out / "trials" / "QT-seed0" / "manifest.json").read_text())
    metrics = pq.read_table(out / "trials" / "QT-seed0" / "metrics.parquet").to_pandas()
    assert (manifest["status"], manifest["stopped_by"]) == ("diverged", "diverged")
    assert manifest["diverged_at_s"] == manifest["time_s"] == metrics.time_s.iloc[-1] > 0
    assert not np.isfinite(metrics.train_loss.iloc[-1])
    assert np.isfinite(metrics.train_loss.iloc[:-1]).all()

    other = json.loads((out / "trials" / "DSGD-seed0" / "manifest.json").read_text())
    assert (other["status"], other["stopped_by"]) == ("finished", "rounds")
    assert other["diverged_at_s"] is None
