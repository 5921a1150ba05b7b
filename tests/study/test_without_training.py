"""`--no-train`: the clock alone, without data, at the same times."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny import Call, tiny, write

import desim as simulator
from desim.tensors.datasets.digits import Digits

TIMES = ["trial", "algorithm", "seed", "time_s", "round", "steps", "samples", "bits_sent"]


def no_data(_self: Digits) -> None:
    raise AssertionError("the data was loaded")


def test_two_thousand_workers_without_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, desim: Call
) -> None:
    monkeypatch.setattr(Digits, "load", no_data)
    file, out = write(tmp_path / "tiny.toml", {"stop.rounds": 2}), tmp_path / "results"
    options = ["--set", "cluster.workers=2000", "--no-train"]
    ended = desim("run", file, "--out", out, "--jobs", 1, *options)
    assert (ended.code, ended.err) == (0, "")
    metrics = pq.read_table(out / "trials" / "DSGD-seed0" / "metrics.parquet").to_pandas()
    assert metrics.steps.iloc[-1] == 2 * 2000
    assert np.isnan(metrics.train_loss).all()
    # 200 workers x 20 samples are more than there are, and only training minds.
    ended = desim("check", file, "--set", "cluster.workers=200", "--no-train")
    assert ended.code == 0
    assert "workers 200; E[V] = 50 samples/s" in " ".join(ended.out.split())
    ended = desim("check", file, "--set", "cluster.workers=200")
    assert (ended.code, ended.out) == (2, "")
    assert "the data was loaded" in ended.err


def test_the_times_are_those_of_the_trained_run(tmp_path: Path) -> None:
    scenario = simulator.from_table(tiny({"evaluate": {"every_s": 0.1}}))
    trained = simulator.run(scenario, tmp_path / "trained", jobs=1)
    clock = simulator.run(scenario, tmp_path / "clock", jobs=1, train=False)
    for trial in ("DSGD-seed0", "QT-seed0"):
        for file, columns in (("metrics.parquet", TIMES), ("timeline.parquet", None)):
            one = pq.read_table(trained / "trials" / trial / file, columns=columns)
            two = pq.read_table(clock / "trials" / trial / file, columns=columns)
            assert one.num_rows > 3
            assert one.equals(two)
