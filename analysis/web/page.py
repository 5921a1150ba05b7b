"""Writes `report.html`: the scenario, the tables, the figures and the timeline in one file."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from desim.analysis.drawing import points_left_out
from desim.analysis.files import whole, writing
from desim.analysis.report import Written, write_report
from desim.analysis.results import sweep_keys, sweep_points, trials, unfinished
from desim.analysis.summary import divergence_lines, round_times, stall_lines, summary_cells
from desim.analysis.web.lanes import KINDS, kinds_in, scenes
from desim.analysis.web.provenance import provenance
from desim.analysis.web.vector import inlined
from desim.analysis.web.words import methods, sentences


class Table(NamedTuple):
    """A table in the page; each row says whether it begins another question."""

    title: str
    heads: list[str]
    rows: list[tuple[bool, list[str]]]


class Picture(NamedTuple):
    """A figure in the page."""

    title: str
    svg: Markup


def web_report(
    folder: str | Path,
    baseline: str | None = None,
    targets: Sequence[float] | None = None,
    *,
    metric: str | None = None,
    figures: Sequence[object] = (),
    out: str | Path | None = None,
) -> list[Path]:
    """Writes all that `report` writes, and `report.html` with everything in one page.

    The page loads nothing, from the network or from beside it, and says so to the browser: only
    its own script may run in it.

    Args:
        folder, baseline, targets, metric, figures, out: as for `report`.

    Returns:
        The files written, `report.html` first.

    Raises:
        ResultsError: as for `report`.
    """
    written = write_report(folder, baseline, targets, metric=metric, figures=figures, out=out)
    page = written.index.with_name("report.html")
    text = _rendered(written)
    with writing(page.parent), whole(page) as stream:
        stream.write(text.encode())
    return [page, *written.files()]


def _rendered(written: Written) -> str:
    loader = PackageLoader("desim.analysis.web", "template")
    # Everything that is put into the page is escaped, unless it is Markup made here.
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )

    def own(name: str) -> Markup:
        return Markup(loader.get_source(environment, name)[0])

    data = written.data
    root, finished, described = data.root, data.trials, data.scenario
    points = sweep_points(finished, sweep_keys(finished, data.schema))
    script, shown = own("timeline.js"), scenes(root, finished, data.metrics, points)
    served = bool(finished["server"].any())
    return environment.get_template("page.html").render(
        name=str(described.get("name", root.name)),
        state=_state(root, trials(root)),
        sentences=sentences(described, served=served),
        methods=methods(described),
        tables=_tables(written),
        notes=[*divergence_lines(finished), *stall_lines(trials(root))],
        pictures=_pictures(written),
        left_out=points_left_out(data),
        timeline={"kinds": KINDS, "scenes": shown},
        kinds=kinds_in(shown),
        served=served,
        points=len(points),
        provenance=provenance(root, finished),
        style=own("page.css"),
        script=script,
        script_hash=_hash(script),
    )


def _hash(script: str) -> str:
    """As a content security policy names the one script that may run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _state(root: Path, finished: pd.DataFrame) -> str:
    count = finished["algorithm"].nunique()
    state = f"{len(finished)} finished trials of {count} method{'s' if count > 1 else ''}"
    begun = unfinished(root)
    if begun or not (root / "manifest.json").is_file():
        state += f", {begun} unfinished: the run is not complete, and this page covers a part"
    if not finished["train"].any():
        state += "; the clock alone was run, without training, so there are no losses"
    return f"{state}."


def _tables(written: Written) -> list[Table]:
    pace = round_times(written.data.metrics, written.data.schema)
    found = {"Pace of the rounds": summary_cells(pace)}
    if "target" in written.table:
        found = {"Time to target and speedup": summary_cells(written.table), **found}
    return [_table(title, cells) for title, cells in found.items()]


def _table(title: str, cells: pd.DataFrame) -> Table:
    heads = [str(name) for name in cells.columns]
    asked = cells[heads[: heads.index("algorithm")]]
    begins = (asked != asked.shift()).any(axis=1).tolist()
    return Table(title, heads, list(zip(begins, cells.to_numpy().tolist(), strict=True)))


def _pictures(written: Written) -> list[Picture]:
    """The figures, with ids of their own each."""
    return [
        # Safe: the XML writer has escaped what the file and the title hold.
        Picture(one.title, Markup(inlined(one.svg, f"figure{n}", one.title, one.description)))
        for n, one in enumerate(written.pictures)
    ]
