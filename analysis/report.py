"""Writes everything that a results folder can tell into its `report/`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from desim.analysis import style
from desim.analysis.comparison import compare
from desim.analysis.drawing import Picture, draw, figures_of, points_left_out
from desim.analysis.figures.base import FigureData
from desim.analysis.files import for_spreadsheets, in_markdown, writing
from desim.analysis.horizons import curves
from desim.analysis.metrics import chosen, measured
from desim.analysis.results import (
    load_schema,
    mixed_versions,
    scenario,
    trials,
    unfinished,
)
from desim.analysis.summary import reason_lines, round_times, summary, summary_cells
from desim.analysis.targets import round_targets, target_grid


@dataclass(frozen=True)
class Written:
    """What `write_report` made.

    Attributes:
        data: what the figures were drawn from.
        table: from `summary`.
        index: report.md.
        tables: CSV files.
        pictures: the figures.
    """

    data: FigureData
    table: pd.DataFrame
    index: Path
    tables: list[Path]
    pictures: list[Picture]

    def files(self) -> list[Path]:
        """All files, the index first."""
        drawn = [file for picture in self.pictures for file in (picture.png, picture.svg)]
        return [self.index, *self.tables, *drawn]


def report(
    folder: str | Path,
    baseline: str | None = None,
    targets: Sequence[float] | None = None,
    *,
    metric: str | None = None,
    figures: Sequence[object] = (),
    out: str | Path | None = None,
) -> list[Path]:
    """Writes the figures that apply (PNG and SVG), `speedup.csv` and an index, `report.md`.

    Each point of the sweep gets its own figures if there are no more than four, and each numeric
    sweep key figures of its own.

    Args:
        folder: what `desim run` wrote.
        baseline: label of the algorithm that speedups refer to; None for the scenario's first.
        targets: values of the metric in the table; None for a few round ones.
        metric: what the report is about, such as `test-accuracy`; None for what the results are.
        figures: figures of one's own besides those that the scenario names: members of
            `ReportFigure`, their tables, or "package.module:Class".
        out: where to write; None for `report/` in the folder.

    Returns:
        The files written, `report.md` first.

    Raises:
        ResultsError: no results, an unknown baseline or metric, targets of a metric that has none,
            a figure that can't be used, or a place that can't be written.
    """
    return write_report(folder, baseline, targets, metric=metric, figures=figures, out=out).files()


def write_report(
    folder: str | Path,
    baseline: str | None = None,
    targets: Sequence[float] | None = None,
    *,
    metric: str | None = None,
    figures: Sequence[object] = (),
    out: str | Path | None = None,
) -> Written:
    """What `report` does; arguments and errors are the same."""
    root = Path(folder)
    (metrics, finished), schema = curves(root), load_schema(root)
    described, column = scenario(root), chosen(schema, metric)
    shown = figures_of("run", described, figures)
    # One for all: the first algorithm at a point may be another where trials are unfinished.
    reference = str(metrics["algorithm"].iloc[0]) if baseline is None else baseline
    table = summary(root, reference, targets, metric=metric)
    rows = measured(metrics, finished, column)
    aiming = column.good is not None and len(rows) > 0
    data = FigureData(
        root=root,
        schema=schema,
        scenario=described,
        metric=column,
        metrics=metrics,
        trials=finished,
        styles=style.line_styles([str(label) for label in metrics["algorithm"].unique()]),
        baseline=reference,
        targets=tuple(round_targets(rows, schema, column.name).tolist()) if aiming else (),
    )
    home = root / "report" if out is None else Path(out)
    with writing(home):
        pass  # said now, not after the work
    pictures = draw(shown, data, home)
    tables = []
    if aiming and len(target_grid(rows, schema, column.name)):
        tables.append(home / "speedup.csv")
        fine = compare(rows, schema, metric=column.name, baseline=reference)
        with writing(home):
            for_spreadsheets(fine).to_csv(tables[0], index=False)
    index = home / "report.md"
    text = _index(data, table, pictures, tables)
    with writing(home):
        index.write_text(text, encoding="utf-8")
    return Written(data, table, index, tables, pictures)


def _index(
    data: FigureData, table: pd.DataFrame, pictures: list[Picture], tables: list[Path]
) -> str:
    name = str(data.scenario.get("name", data.root.name))
    parts = [f"# {in_markdown(name)}", _state(data.root)]
    if "target" in table:
        parts += ["## Time to target", _markdown(summary_cells(table))]
    pace = round_times(data.metrics, data.schema)
    parts += ["## Pace", _markdown(summary_cells(pace))]
    if reasons := reason_lines(trials(data.root)):
        parts.append("\n".join(f"- {in_markdown(line)}" for line in reasons))
    if tables:
        parts.append("Every target of the figures: [speedup.csv](speedup.csv).")
    if note := points_left_out(data):
        parts.append(note)
    for picture in pictures:
        title = in_markdown(picture.title)
        parts.append(f"## {title}\n\n![{title}]({picture.png.name})")
    return "\n\n".join(parts) + "\n"


def _state(root: Path) -> str:
    begun, finished = unfinished(root), trials(root)
    state = f"{len(finished)} finished trials"
    if begun or not (root / "manifest.json").is_file():
        state += f", {begun} unfinished: the run is not complete, and this report covers a part"
    if mixed := mixed_versions(finished):
        state += f"; they were run under different versions: {mixed}"
    return f"{state}."


def _markdown(cells: pd.DataFrame) -> str:
    rows = [list(cells.columns), ["---"] * len(cells.columns), *cells.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(map(in_markdown, row)) + " |" for row in rows)
