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
    for wrong, rule in (
        ("nan", "finite numbers"),
        ("2,inf", "finite numbers"),
        ("much", "numbers"),
    ):
        complaint = desim("report", out, "--target", wrong).complaint
        assert complaint == f"--target = '{wrong}': must be {rule}, such as 1.5,1"
    assert "must be one of DSGD, QT" in desim("report", out, "--baseline", "SGD").complaint


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
