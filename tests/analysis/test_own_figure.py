"""A figure of one's own is drawn with those that come with desim, and named where it is bad."""

import json
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from fabricated import Fabricator

from desim import analysis
from desim.analysis.figures.base import Report
from desim.schema.registry import members

#: Modules are cached by their names: each test has one of its own.
_NUMBERS = count()

FIGURE = '''
"""Figures of the last value."""

from matplotlib.figure import Figure

from desim import analysis
from desim.analysis import style


class LastValues(analysis.ReportFigure):
    """A bar for each trial."""

    title = "Where <each> trial ended"
    description = "One bar a trial."
    above: float = 0.0

    def draw(self, data):
        rows, trials = data.measured()
        last = rows.groupby("trial")[data.metric.name].last()
        figure = style.new_figure(3.0)
        axes = figure.subplots()
        axes.bar(list(trials["trial"]), last - self.above)
        axes.set_ylabel(data.metric.label())
        style.legend_above(figure, style.curve_handles(data.styles, list(data.styles)))
        yield analysis.Drawing("last-values", figure)


class Twice(LastValues):
    """The same for every swept number, and once for all."""

    per = "key"

    def draw(self, data):
        figure = style.new_figure(3.0)
        figure.subplots().plot(data.metrics[data.key], data.metrics["time_s"], "o")
        yield analysis.Drawing(f"times-by-{data.key}", figure, f"Times by {data.key}", "Dots.")


class Searched(LastValues):
    """The scores of a search."""

    of, per = "tuning", "folder"

    def draw(self, data):
        candidates = analysis.load_candidates(data.root)
        figure = style.new_figure(3.0)
        figure.subplots().plot(candidates["value"], candidates["score"])
        yield analysis.Drawing("scores", figure)


class Returns(LastValues):
    """Gives matplotlib's figure itself."""

    def draw(self, data):
        return Figure()


class Forgets(LastValues):
    """Gives nothing."""

    def draw(self, data):
        style.new_figure(3.0)


class NoFigure(LastValues):
    """Gives something else."""

    def draw(self, data):
        yield analysis.Drawing("axes", Figure().subplots())


class Raises(LastValues):
    """Asks for a column that isn't there."""

    def draw(self, data):
        yield analysis.Drawing("x", data.metrics["nowhere"])


class FailsLate(LastValues):
    """Can't be saved."""

    def draw(self, data):
        figure = Figure()
        figure.subplots().set_title("$\\\\nowhere$", parse_math=True)
        yield analysis.Drawing("late", figure)


class Usurper(LastValues):
    """Takes another figure's file."""

    def draw(self, data):
        yield analysis.Drawing("timeline", Figure())


class NoDrawing(analysis.ReportFigure):
    """Can't draw."""


class Plain:
    """No figure at all."""
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of the module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    name = f"own_figures_{next(_NUMBERS)}"
    (tmp_path / f"{name}.py").write_text(FIGURE)
    yield name
    sys.modules.pop(name, None)


@pytest.fixture
def made(fabricate: Callable[..., Fabricator]) -> Fabricator:
    results = fabricate("a", "b")
    for label in ("a", "b"):
        results.decay(label, 0, 4.0)
    return results


def asked_by_the_scenario(made: Fabricator, figures: object) -> None:
    file = made.folder / "scenario.toml"
    file.write_text(f"report.figures = {json.dumps(figures)}\n" + file.read_text())


def test_it_is_seen_in_the_files_the_index_and_the_page(made: Fabricator, own: str) -> None:
    paths = analysis.web_report(made.folder, figures=[f"{own}:LastValues"])
    names = [path.name for path in paths]
    assert {"last-values.png", "last-values.svg", "timeline.png"} <= set(names)
    assert names.index("last-values.png") > names.index("time-share.png")  # after desim's own
    page, index = (path.read_text(encoding="utf-8") for path in paths[:2])
    assert "## Where &lt;each&gt; trial ended\n\n![Where &lt;each&gt; trial" in index
    assert "<figcaption>Where &lt;each&gt; trial ended</figcaption>" in page
    assert "One bar a trial." in page


def test_the_scenario_may_ask_for_it_with_a_table_of_its_own(made: Fabricator, own: str) -> None:
    asked_by_the_scenario(made, [f"{own}:LastValues", f"{own}:Searched"])
    names = {path.name for path in analysis.report(made.folder)}
    assert "last-values.svg" in names
    assert "scores.svg" not in names  # of a search, not of a run
    # Named twice it is drawn once.
    again = analysis.report(made.folder, figures=[f"{own}:LastValues", "timeline"])
    assert {path.name for path in again} == names
    table = {"figures": [{"kind": f"{own}:LastValues", "above": 0.5}]}
    (figure,) = Report.model_validate(table).figures
    assert figure.table() == {"kind": f"{own}:LastValues", "above": 0.5}
    assert analysis.report(made.folder, figures=[figure.model_copy(update={"above": 0.0})])


def test_one_per_swept_number_has_its_key(made: Fabricator, own: str) -> None:
    for value in (1, 2):
        made.decay("a", 1, 4.0, sweep={"cluster.load": value, "cluster.law": "x"})
    file = made.folder / "trials"
    for label in ("a_0", "b_0"):
        (file / label / "manifest.json").unlink()
    paths = analysis.report(made.folder, figures=[f"{own}:Twice"])
    assert "times-by-cluster.load--cluster.law=x.svg" in {path.name for path in paths}
    assert "## Times by cluster.load, at cluster.law = x" in paths[0].read_text()


def test_one_of_a_search_is_drawn_with_the_search(made: Fabricator, own: str) -> None:
    import pandas as pd

    made.describe("tuning")
    row = {"parameter": "alpha", "epsilon": None, "seed": 0, "objective": "loss", "target": None}
    rows = [
        {"algorithm": "a", "value": v, "score": v, "best": v == 1, "own": False} for v in (1, 2)
    ]
    pd.DataFrame([row | one for one in rows]).to_parquet(made.folder / "candidates.parquet")
    paths = analysis.report_tuning(made.folder, figures=[f"{own}:Searched"])
    names = ["sensitivity.png", "sensitivity.svg", "scores.png", "scores.svg"]
    assert [path.name for path in paths] == names
    asked_by_the_scenario(made, [f"{own}:Searched"])
    assert [path.name for path in analysis.report_tuning(made.folder)] == names
    with pytest.raises(analysis.ResultsError, match=r"LastValues: is of what `desim run` writes"):
        analysis.report_tuning(made.folder, figures=[f"{own}:LastValues"])


DRAWING = r"; draw must yield desim.Drawing\(name, figure\): a name for its files, and a figure of"


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("Returns", r"^figure own_figures_\d+:Returns: gave <Figure .*>" + DRAWING),
        ("Forgets", r"^figure own_figures_\d+:Forgets: gave None" + DRAWING),
        ("NoFigure", r"^figure own_figures_\d+:NoFigure: gave Drawing\(.*" + DRAWING),
        (
            "Raises",
            r"^figure own_\w+:Raises: raised KeyError: 'nowhere', .*own_figures_\d+.py:\d+$",
        ),
        ("FailsLate", r"^figure own_figures_\d+:FailsLate: raised ValueError: .*nowhere"),
        ("Usurper", r"^figure own_figures_\d+:Usurper: names its file 'timeline', as another "),
        ("NoDrawing", r"^figures\.0\.kind = 'own_\w+:NoDrawing': can't be used yet; .* draw$"),
        (
            "Plain",
            r"^figures\.0\.kind = 'own_\w+:Plain': must be a class derived from a base class",
        ),
        ("Missing", r"^figures\.0\.kind = 'own_\w+:Missing': can't be imported"),
    ],
)
def test_a_bad_one_is_refused_in_one_line(made: Fabricator, own: str, name: str, rule: str) -> None:
    with pytest.raises(analysis.ResultsError, match=rule) as raised:
        analysis.report(made.folder, figures=[f"{own}:{name}"])
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("figures", "rule"),
    [
        (
            ["desim.topologies.ring:Ring"],
            "report.figures.0 = .*: 'desim.topologies.ring:Ring' is no ",
        ),
        (
            ["timelines"],
            r"report.figures.0.kind = 'timelines': no such kind; did you mean 'timeline'",
        ),
        ("timeline", "report.figures = 'timeline': must be a list"),
    ],
)
def test_a_scenario_that_names_none_is_refused(
    made: Fabricator, figures: object, rule: str
) -> None:
    asked_by_the_scenario(made, figures)
    with pytest.raises(analysis.ResultsError, match=rule):
        analysis.report(made.folder)


def test_every_figure_that_comes_with_desim_says_what_it_shows() -> None:
    for kind, cls in members("figures").items():
        assert issubclass(cls, analysis.ReportFigure)
        assert len(cls.title) > 10, kind
        assert cls.description.endswith("."), kind
    places = [(cls.of, cls.per, cls.order) for cls in members("figures").values()]
    assert len(set(places)) == len(places)
