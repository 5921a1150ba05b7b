"""A seed gives the same bytes: in two runs, with any number of jobs, after any interruption."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tiny import Call, sums, tiny, write

import desim as simulator
from desim.studies.progress import Progress

CHANGES = {"seeds": [0, 1]}
TRIALS = 4


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, one trial after another."""
    out = tmp_path_factory.mktemp("whole") / "results"
    return simulator.run(simulator.from_table(tiny(CHANGES)), out, jobs=1)


def go_on(out: Path) -> list[Progress]:
    """The same run again; what it reported."""
    reports: list[Progress] = []
    simulator.run(simulator.from_table(tiny(CHANGES)), out, jobs=1, progress=reports.append)
    return reports


def times(folder: Path) -> dict[str, int]:
    files = (file for file in folder.glob("trials/*/*") if file.is_file())
    return {str(file.relative_to(folder)): file.stat().st_mtime_ns for file in files}


def test_a_second_run_gives_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    expected = sums(whole)
    assert len([name for name in expected if name.endswith("timeline.parquet")]) == TRIALS
    again = simulator.run(simulator.from_table(tiny(CHANGES)), tmp_path / "again", jobs=1)
    assert sums(again) == expected


def test_another_seed_gives_other_bytes(whole: Path) -> None:
    found = sums(whole)
    names = [name for name in found if name.endswith("metrics.parquet")]
    assert len({found[name] for name in names}) == TRIALS


def test_checksums_in_the_manifests_are_those_of_the_files(whole: Path) -> None:
    found = sums(whole)
    study = json.loads((whole / "manifest.json").read_text())
    assert len(study["trials"]) == TRIALS
    for trial, checksum in study["trials"].items():
        assert found[f"trials/{trial}/manifest.json"] == checksum
        manifest = json.loads((whole / "trials" / trial / "manifest.json").read_text())
        assert manifest["checksums"] == {
            name: found[f"trials/{trial}/{name}"]
            for name in ("labels.parquet", "metrics.parquet", "timeline.parquet")
        }


def test_a_finished_run_does_nothing(copied: Path) -> None:
    before, expected = times(copied), sums(copied)
    reports = go_on(copied)
    assert [(now.trials, now.done, now.share) for now in reports] == [(TRIALS, TRIALS, 1.0)]
    assert times(copied) == before
    assert sums(copied) == expected


def test_a_trial_without_a_manifest_is_run_again_and_no_other(copied: Path) -> None:
    before, expected = times(copied), sums(copied)
    trial = copied / "trials" / "QT-seed1"
    (trial / "manifest.json").unlink()
    (trial / "metrics.parquet").write_bytes(b"half of it")
    (trial / "metrics.parquet.part").write_bytes(b"")
    (copied / "manifest.json").unlink()
    reports = go_on(copied)
    assert (reports[0].done, reports[-1].done, reports[-1].share) == (TRIALS - 1, TRIALS, 1.0)
    assert sums(copied) == expected
    after = times(copied)
    changed = {name.split("/")[1] for name in after if after[name] != before[name]}
    assert changed == {"QT-seed1"}


@pytest.mark.parametrize("name", ["labels.parquet", "metrics.parquet", "timeline.parquet"])
def test_a_trial_with_a_lost_file_is_run_again(name: str, copied: Path) -> None:
    expected = sums(copied)
    (copied / "trials" / "DSGD-seed0" / name).unlink()
    with pytest.warns(simulator.DesimWarning, match=f"DSGD-seed0 \\({name} is missing\\)"):
        go_on(copied)
    assert sums(copied) == expected


@pytest.mark.slow
def test_the_command_line_with_two_jobs_gives_the_same_bytes(
    whole: Path, tmp_path: Path, desim: Call
) -> None:
    file, out = write(tmp_path / "tiny.toml", CHANGES), tmp_path / "results"
    ended = desim("run", file, "--out", out, "--jobs", 2)
    assert (ended.code, ended.err) == (0, "")
    assert f"trial {TRIALS}/{TRIALS} " in ended.out
    assert "results:" in ended.out
    assert sums(out) == sums(whole)
    assert (out / "report" / "report.md").is_file()
    ended = desim("report", out)
    assert ended.code == 0
    assert "results:" in ended.out
    assert sums(out) == sums(whole)


@pytest.mark.parametrize("absent", ["wait", "skip"])
def test_crashes_losses_and_shared_links_give_the_same_bytes_too(
    tmp_path: Path, absent: str
) -> None:
    timeout = {"timeout_s": 0.5} if absent == "skip" else {}
    changes = CHANGES | {
        "network.link": {"kind": "fair", "up_bps": 40_000.0, "loss": 0.1, "jitter_s": 0.01},
        "cluster.stragglers": {"kind": "markov", "mean_slow_s": 0.5},
        "cluster.hardware": {"speed_sps": 50.0},
        "faults": {
            "workers": {"mean_up_s": 3.0, "mean_down_s": 0.5},
            "links": {"mean_up_s": 3.0, "mean_down_s": 0.5},
        },
        "algorithms.0.absent": absent,
        **{f"algorithms.0.{key}": value for key, value in timeout.items()},
    }
    first, second = (
        simulator.run(simulator.from_table(tiny(changes)), tmp_path / name, jobs=1)
        for name in ("first", "second")
    )
    assert sums(first) == sums(second)
    timeline = pq.read_table(first / "trials" / "DSGD-seed0" / "timeline.parquet").to_pandas()
    assert {"down", "drop"} <= set(timeline["kind"])
