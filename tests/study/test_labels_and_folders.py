"""The command line with labels that look like markup, and with folders that can't be written."""

from pathlib import Path

import pytest
from tiny import Call, tiny, write

import desim as simulator


def test_labels_that_look_like_markup_end_in_tables(tmp_path: Path, desim: Call) -> None:
    changes = {"algorithms.0.label": "DSGD [fp16]", "algorithms.1.label": "[/] :fire: <b>"}
    file, out = write(tmp_path / "tiny.toml", changes), tmp_path / "results"
    checked = desim("check", file)
    assert (checked.code, checked.err) == (0, "")
    assert "DSGD [fp16]" in checked.out
    assert "[/] :fire: <b>" in checked.out
    ran = desim("run", file, "--out", out, "--jobs", 1)
    assert (ran.code, ran.err) == (0, "")
    assert "[fp16]" in ran.out.partition("───")[0]  # the baseline, in the heading
    assert "[/] :fire: <b>" in ran.out.partition("───")[2]


@pytest.mark.slow
def test_a_search_prints_them(tmp_path: Path, desim: Call) -> None:
    file = write(tmp_path / "tiny.toml", {"algorithms.0.label": "[/] :fire:"})
    options = ("--jobs", 1, "--grid", 3, "--refine", 0)
    ended = desim("tune", file, "--out", tmp_path / "results [x]", *options)
    assert (ended.code, ended.err) == (0, "")
    assert "[/] :fire:" in ended.out
    assert "results [x]/tuned.toml" in ended.out.replace("\n", "")


@pytest.mark.parametrize("label", ["a\nb", "\x1b[31mred", "tab\there", " ", "\u202e", "\ud800"])
def test_a_label_must_be_seen_in_one_line(label: str) -> None:
    table = tiny({"algorithms.0.label": label})
    rule = r"^algorithms\.0\.label = .*(one line|halves of characters)$"
    with pytest.raises(simulator.ScenarioError, match=rule):
        simulator.Scenario(**table)


def test_after_a_run_whose_report_cannot_be_written_the_results_are_there(
    tmp_path: Path, desim: Call
) -> None:
    file, out = write(tmp_path / "tiny.toml"), tmp_path / "results"
    assert desim("run", file, "--out", out, "--jobs", 1, "--quiet", "--no-train").code == 0
    for one in (out / "report").iterdir():
        one.unlink()
    (out / "report").rmdir()
    (out / "report").write_text("mine")
    for command in (("run", file, "--out", out, "--jobs", 1, "--no-train"), ("report", out)):
        complaint = desim(*command).complaint
        assert complaint.startswith(f"{out / 'report'}: must be a folder that can be written (a f")
        assert "the results are kept, and `desim report --out DIR` draws them els" in complaint
    ended = desim("report", out, "--out", tmp_path / "elsewhere", "--html")
    assert (ended.code, ended.err) == (0, "")
    assert (tmp_path / "elsewhere" / "report.html").is_file()
    assert (out / "report").read_text() == "mine"
