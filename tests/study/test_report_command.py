"""`desim report`: the figures, and with --html the page."""

from pathlib import Path

from conftest import Call
from tiny import write


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
    assert "nowhere: no such folder" in desim("report", tmp_path / "nowhere", "--html").complaint
