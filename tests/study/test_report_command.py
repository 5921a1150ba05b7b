"""`desim report`: the figures, and with --html the page."""

from pathlib import Path

import pytest
from tiny import Call, write


@pytest.mark.slow
def test_the_page_is_written_when_asked_for(tmp_path: Path, desim: Call) -> None:
    file, out = write(tmp_path / "tiny.toml"), tmp_path / "results"
    assert desim("run", file, "--out", out, "--jobs", 1, "--quiet").code == 0
    page = out / "report" / "report.html"
    plain = desim("report", out)
    assert (plain.code, plain.err) == (0, "")
    assert not page.exists()
    ended = desim("report", out, "--html")
    assert (ended.code, ended.err) == (0, "")
    text = page.read_text(encoding="utf-8")
    for shown in ("Every directed link", "torch", "timeline.parquet", "4 workers"):
        assert shown in text
    assert "key average" not in text
    assert "nowhere: no such folder" in desim("report", tmp_path / "nowhere", "--html").complaint


@pytest.mark.slow
def test_targets_and_the_baseline_can_be_chosen(tmp_path: Path, desim: Call) -> None:
    file, out = write(tmp_path / "tiny.toml"), tmp_path / "results"
    assert desim("run", file, "--out", out, "--jobs", 1, "--quiet").code == 0
    ended = desim("report", out, "--target", "2.3,2.29,2.3", "--baseline", "QT")
    assert ended.code == 0
    assert "over QT" in " ".join(ended.out.split())
    index = (out / "report" / "report.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip() for line in index.splitlines() if line.startswith("| 2.")]
    assert rows == ["2.3", "2.3", "2.29", "2.29"]
    for wrong in ("nan", "2,inf", "test-loss=nan"):
        complaint = desim("report", out, "--target", wrong).complaint
        assert complaint.startswith(f"--target = '{wrong}': must be finite numbers")
    assert "must be numbers" in desim("report", out, "--target", "much").complaint
    assert "did you mean 'DSGD'?" in desim("report", out, "--baseline", "SGD").complaint
    assert "choose from DSGD, QT" in desim("report", out, "--baseline", "fast").complaint


@pytest.mark.slow
def test_it_is_about_the_metric_that_is_asked_for(tmp_path: Path, desim: Call) -> None:
    changes = {"evaluate.metrics": ["worst-worker-loss"], "sweep": {"cluster.workers": [3, 4]}}
    file, out = write(tmp_path / "tiny.toml", changes), tmp_path / "results"
    assert desim("run", file, "--out", out, "--jobs", 1, "--quiet").code == 0
    for asked in (
        ("--target", "test-accuracy=0.08,0.12"),
        ("--target", "0.08,0.12", "--metric", "test-accuracy"),
        ("--target", "test-accuracy=0.08,0.12", "--metric", "test-accuracy"),
    ):
        ended = desim("report", out, *asked)
        assert (ended.code, ended.err) == (0, "")
        assert "accuracy" in ended.out
        index = (out / "report" / "report.md").read_text(encoding="utf-8")
        assert "| target test accuracy |" in index
        assert "0.08" in index
    names = {path.stem for path in (out / "report").glob("*.svg")}
    assert {
        "test-accuracy-vs-cluster.workers",
        "train-loss-vs-cluster.workers",  # of the run
        "worst-worker-loss-vs-time--cluster.workers=3",
    } <= names
    ended = desim("report", out, "--metric", "worst-worker-loss")
    assert ended.code == 0
    assert "worst" in ended.out
    for asked, part in (
        (
            ("--metric", "speed"),
            "metric = 'speed': isn't measured here; choose from round, steps, ",
        ),
        (("--target", "speed=1"), "metric = 'speed': isn't measured here"),
        (("--target", "samples=1"), "metric = 'samples': neither low nor high values of it are"),
        (("--target", "test-loss=1", "--metric", "test-accuracy"), "name one metric"),
        (("--figure", "nowhere:Figure"), "figures.0.kind = 'nowhere:Figure': can't be imported"),
    ):
        assert part in desim("report", out, *asked).complaint


@pytest.mark.slow
def test_a_search_is_reported_as_one(tmp_path: Path, desim: Call) -> None:
    file, out = write(tmp_path / "tiny.toml"), tmp_path / "results"
    options = ("--jobs", 1, "--quiet", "--grid", 3, "--refine", 0)
    assert desim("tune", file, "--out", out, *options, "--metric", "test-accuracy").code == 0
    ended = desim("report", out)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.split() == ["figure:", str(out / "report" / "sensitivity.png")]
    complaint = desim("report", out, "--metric", "test-loss").complaint
    assert "holds what `desim tune` wrote, of which there is no --html, --metric," in complaint
    (out / "candidates.parquet").unlink()
    assert "holds a search that is not finished" in desim("report", out).complaint


@pytest.mark.slow
def test_the_page_has_a_colour_for_averaging_where_it_takes_time(
    tmp_path: Path, desim: Call
) -> None:
    key = "cluster.hardware.0.memory_bytes_per_s"
    machine = {"speed_sps": 1.0, "memory_bytes_per_s": 1e4}
    changes = {"cluster.hardware": machine, "cluster.charge_memory": True}
    changes["sweep"] = {key: [1e4, 1e5]}
    file, out = write(tmp_path / "tiny.toml", changes), tmp_path / "results"
    assert desim("run", file, "--out", out, "--jobs", 1, "--quiet").code == 0
    assert desim("report", out, "--html").code == 0
    page = (out / "report" / "report.html").read_text(encoding="utf-8")
    assert '<span class="key average"></span>averaging' in page
    drawn = (out / "report" / f"timeline--{key}=10000.svg").read_text(encoding="utf-8")
    assert "average" in drawn
