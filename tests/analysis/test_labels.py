"""Labels are a user's text: they stand in every table, page, file and figure as they are."""

import csv
import io
import warnings
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from fabricated import Fabricator
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markupsafe import escape
from rich.console import Console

from desim import analysis
from desim.analysis.files import for_spreadsheets, in_markdown

NASTY = [
    "DSGD [fp16]",
    "[/]",
    "[bold]",
    "[red]x[/red]",
    "a | b",
    "<script>alert(1)</script>",
    "</script><b>",
    "&amp; &lt;",
    "=1+1",
    "+1",
    "-x",
    "@SUM(A1)",
    "$x$",
    "$\\frac",
    "_hidden",
    "*a* `b` ~c~",
    ":smile:",
    "back\\",
    "\\[x]",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "%s %(a)s",
    "' \" ''",
    "a/b",
    "..",
    "日本語 ümläut ∂",
]


def fabricated(folder: Path, label: str) -> Fabricator:
    made = Fabricator(folder, [label, "other"])
    for seed in (0, 1):
        made.decay(label, seed, 8.0 + seed, evaluations=4)
        made.decay("other", seed, 4.0)
    return made


def printed(folder: Path) -> str:
    stream = io.StringIO()
    table = analysis.summary_table(analysis.summary(folder), title="of [b]")
    Console(file=stream, width=600).print(table)
    return stream.getvalue()


@pytest.mark.parametrize("label", NASTY)
def test_the_terminal_shows_them(label: str, tmp_path: Path) -> None:
    made = fabricated(tmp_path / "results", label)
    text = printed(made.folder)
    assert "of [b]" in text
    heading, _, rows = text.partition("───")
    assert f" {label} " in rows.replace("\n", " ")
    if len(label) <= 20:  # longer words are broken
        assert all(word in heading for word in label.split())


def test_a_report_has_them_everywhere(tmp_path: Path) -> None:
    made = Fabricator(tmp_path / "results", NASTY)
    for label in NASTY:
        made.decay(label, 0, 8.0, evaluations=4)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        paths = analysis.web_report(made.folder, out=tmp_path / "out")
    assert not (made.folder / "report").exists()
    assert {path.parent for path in paths} == {tmp_path / "out"}
    files = {path.name: path for path in paths}

    index = files["report.md"].read_text(encoding="utf-8")
    assert [label for label in NASTY if in_markdown(label) not in index] == []
    assert "<" not in index
    for table in index.split("\n\n"):
        rows = [line for line in table.splitlines() if line.startswith("|")]
        assert len({line.replace("\\|", "").count("|") for line in rows}) <= 1

    page = files["report.html"].read_text(encoding="utf-8")
    assert page.count("<script") == page.count("</script>") == 2
    assert "<b>" not in page
    assert [label for label in NASTY if f"<td>{escape(label)}</td>" not in page] == []

    with files["speedup.csv"].open(encoding="utf-8", newline="") as stream:
        cells = {row["algorithm"] for row in csv.DictReader(stream)}
    assert cells == {f"'{label}" if label[0] in "=+-@" else label for label in NASTY}

    for path in paths:
        if path.suffix == ".svg":
            assert ElementTree.parse(path).getroot().tag.endswith("svg")


@given(
    st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=30)
    .filter(lambda text: text.strip() and text != "other" and text.isprintable())
    .filter(lambda text: len(text.encode()) < 200)
)
@example("[/]")
@example("a\\")
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_printable_label_passes_through_all_tables(
    tmp_path_factory: pytest.TempPathFactory, label: str
) -> None:
    folder = tmp_path_factory.mktemp("any") / "results"
    made = fabricated(folder, label)
    text = printed(made.folder)
    assert "other" in text
    table = analysis.summary(made.folder)
    assert set(table["algorithm"]) == {label, "other"}
    written = io.StringIO()
    for_spreadsheets(table).to_csv(written, index=False)
    for row in csv.DictReader(io.StringIO(written.getvalue())):
        assert row["algorithm"].removeprefix("'") in (label, label.removeprefix("'"), "other")
        assert not row["algorithm"].startswith(("=", "+", "-", "@"))


def test_numbers_stay_numbers_in_a_csv() -> None:
    table = pd.DataFrame({"a": [-1.5, 2.0], "b": ["-1", "x"], "c": [True, False], "d": [-1, "=2"]})
    safe = for_spreadsheets(table)
    assert safe["a"].tolist() == [-1.5, 2.0]
    assert safe["b"].tolist() == ["'-1", "x"]
    assert safe["d"].tolist() == [-1, "'=2"]
    assert table["b"].tolist() == ["-1", "x"]
