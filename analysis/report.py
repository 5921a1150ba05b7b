"""Writes everything that a results folder can tell into its `report/`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from desim.analysis import style
from desim.analysis.comparison import compare
from desim.analysis.errors import ResultsError
from desim.analysis.figures.holdings import who_holds_what
from desim.analysis.figures.loss import loss_vs_time
from desim.analysis.figures.loss_gap import loss_gap_vs_rounds, loss_gaps
from desim.analysis.figures.sweep import loss_vs_key, losses_at, round_time_vs_key, speedup_vs_key
from desim.analysis.figures.targets import bits_to_target, speedup_vs_target
from desim.analysis.figures.time_share import time_share
from desim.analysis.figures.timeline import timeline
from desim.analysis.horizons import curves
from desim.analysis.results import (
    at_point,
    load_labels,
    scenario,
    sweep_keys,
    sweep_points,
    trials,
    unfinished,
)
from desim.analysis.style import Look
from desim.analysis.summary import reason_lines, round_times, summary, summary_cells
from desim.analysis.targets import round_targets, target_grid
from desim.analysis.time_shares import time_shares

MOST_POINTS = 4


def report(
    folder: str | Path, baseline: str | None = None, targets: Sequence[float] | None = None
) -> list[Path]:
    """Writes the figures that apply (PNG and SVG), `speedup.csv` and an index, `report.md`.

    Each point of the sweep gets its own figures if there are no more than four, and each numeric
    sweep key figures of its own.

    Args:
        folder: what `desim run` wrote; `report/` is made in it.
        baseline: label of the algorithm that speedups refer to; None for the scenario's first.
        targets: training losses of the table; None for a few round ones.

    Returns:
        The files written, `report.md` first.

    Raises:
        ResultsError: no results, or an unknown baseline.
    """
    root = Path(folder)
    metrics, finished = curves(root)
    if not (root / "trials" / finished["trial"].iloc[0] / "timeline.parquet").is_file():
        raise ResultsError(
            f"{root}: holds a search that is not finished; call `desim tune` again, it goes on "
            "where it stopped"
        )
    # One for all: the first algorithm at a point may be another where trials are unfinished.
    reference = str(metrics["algorithm"].iloc[0]) if baseline is None else baseline
    table = summary(root, reference, targets)
    home = root / "report"
    home.mkdir(exist_ok=True)
    pictures: list[Path] = []
    with style.applied():
        for name, figure in _figures(root, metrics, finished, reference):
            pictures += style.save(figure, home, name)
    tables = []
    trained = _trained(metrics, finished)
    if len(trained) and len(target_grid(trained)):
        tables.append(home / "speedup.csv")
        compare(trained, baseline=reference).to_csv(tables[0], index=False)
    index = home / "report.md"
    index.write_text(_index(root, table, round_times(metrics), pictures, tables))
    return [index, *tables, *pictures]


def _trained(metrics: pd.DataFrame, finished: pd.DataFrame) -> pd.DataFrame:
    return metrics[metrics["trial"].isin(finished.loc[finished["train"], "trial"])]


def _figures(
    root: Path, metrics: pd.DataFrame, finished: pd.DataFrame, reference: str
) -> Iterator[tuple[str, Figure]]:
    looks = style.looks([str(label) for label in metrics["algorithm"].unique()])
    points = sweep_points(finished)
    if len(points) <= MOST_POINTS:
        for point in points:
            runs = at_point(finished, point)
            rows = at_point(metrics, point)
            for name, figure in _point_figures(root, rows, runs, looks, reference):
                yield name + _suffix(point), figure
    yield from _sweep_figures(metrics, finished, looks, reference)


def _point_figures(
    root: Path,
    metrics: pd.DataFrame,
    finished: pd.DataFrame,
    looks: Mapping[str, Look],
    reference: str,
) -> Iterator[tuple[str, Figure]]:
    trained = _trained(metrics, finished)
    runs = finished[finished["train"]]
    if len(trained):
        yield "loss-vs-time", loss_vs_time(trained, runs, looks)
    gaps = loss_gaps(trained, runs)
    if len(gaps):
        yield "loss-gap-vs-rounds", loss_gap_vs_rounds(gaps, runs, scenario(root), looks)
    if reference in set(trained["algorithm"]) and len(target_grid(trained)):
        table = compare(trained, baseline=reference)
        yield "speedup-vs-target", speedup_vs_target(table, runs, looks)
        yield "bits-to-target", bits_to_target(table, runs, looks)
    yield "timeline", timeline(root, finished, metrics)
    served = bool(finished["server"].any())
    yield "time-share", time_share(time_shares(root, finished), served=served)
    labels = load_labels(root, finished["trial"].iloc[0])
    if labels is not None:
        yield "who-holds-what", who_holds_what(labels)


def _sweep_figures(
    metrics: pd.DataFrame,
    finished: pd.DataFrame,
    looks: Mapping[str, Look],
    reference: str,
) -> Iterator[tuple[str, Figure]]:
    trained = _trained(metrics, finished)
    keys = sweep_keys(finished)
    targets = round_targets(trained)
    for key in keys:
        if not pd.api.types.is_numeric_dtype(finished[key]) or finished[key].nunique() < 2:
            continue
        others = [other for other in keys if other != key]
        for point in sweep_points(finished[others]) if others else [{}]:
            name = f"{_slug(key)}{_suffix(point)}"
            rows = at_point(trained, point)
            if len(targets) and reference in set(rows["algorithm"]):
                table = compare(rows, targets, reference)
                yield f"speedup-vs-{name}", speedup_vs_key(table, key, looks)
            if len(rows):
                end_s = _earliest_end_s(rows, finished)
                table = losses_at(rows, key, end_s)
                yield f"loss-vs-{name}", loss_vs_key(table, key, end_s, looks)
            if not len(trained):
                table = round_times(at_point(metrics, point))
                yield f"round-time-vs-{name}", round_time_vs_key(table, key, looks)


def _earliest_end_s(rows: pd.DataFrame, finished: pd.DataFrame) -> float:
    """When the first of the trials ends; those that diverged or stalled only count if all did."""
    sound = finished.loc[finished["status"] == "finished", "trial"]
    chosen = rows[rows["trial"].isin(sound)]
    return float((rows if chosen.empty else chosen).groupby("trial")["time_s"].max().min())


def _suffix(point: Mapping[str, Any]) -> str:
    return "".join(f"--{_slug(key)}={_slug(_text(value))}" for key, value in point.items())


def _text(value: Any) -> str:
    """A number without needless zeros, but all the digits that tell it from another."""
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text)


def _index(
    root: Path,
    table: pd.DataFrame,
    pace: pd.DataFrame,
    pictures: list[Path],
    tables: list[Path],
) -> str:
    name = scenario(root).get("name", root.name)
    begun, finished = unfinished(root), trials(root)
    state = f"{len(finished)} finished trials"
    if begun or not (root / "manifest.json").is_file():
        state += f", {begun} unfinished: the run is not complete, and this report covers a part"
    parts = [f"# {name}", f"{state}."]
    if "target_loss" in table:
        parts += ["## Time to target", _markdown(summary_cells(table))]
    parts += ["## Pace", _markdown(summary_cells(pace))]
    if reasons := reason_lines(finished):
        parts.append("\n".join(f"- {line}" for line in reasons))
    if tables:
        parts.append("Every target of the figures: [speedup.csv](speedup.csv).")
    parts += [f"## {path.stem}\n\n![{path.stem}]({path.name})" for path in pictures[::2]]
    return "\n\n".join(parts) + "\n"


def _markdown(cells: pd.DataFrame) -> str:
    rows = [list(cells.columns), ["---"] * len(cells.columns), *cells.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
