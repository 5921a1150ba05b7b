"""The tables: time to target at a few round targets, and the pace of the rounds."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from desim.analysis.comparison import compare
from desim.analysis.errors import ResultsError
from desim.analysis.horizons import curves
from desim.analysis.metrics import aimed, chosen, measured, spelled
from desim.analysis.results import at_point, load_schema, scenario, sweep_keys, sweep_points, trials
from desim.analysis.targets import round_targets
from desim.schema.results import Column, ResultsSchema, column_name

# In the terminal:
_MOST_REASONS = 5
_LABEL = 20  # as many letters of a label stand in one line


def summary(
    folder: str | Path,
    baseline: str | None = None,
    targets: Sequence[float] | None = None,
    *,
    metric: str | None = None,
) -> pd.DataFrame:
    """Who reached which target when: one row per sweep point, target and algorithm.

    Args:
        folder: what `desim run` wrote.
        baseline: label of the algorithm that speedups refer to; None for the scenario's first.
        targets: values of the metric; None for three to five round ones.
        metric: its name, such as `test-accuracy`; None for the one that the results are about.

    Returns:
        The columns of `compare`, and `diverged` (number of seeds),
        `diverged_at_s` (the earliest, in simulated s; NaN if none), `title` (the metric's),
        `stalled` (number of seeds) and `reasons` (what `reason_lines` gives, as one text). Where no
        value moved, the target at which a trial ends, or without one a target that is NaN and that
        nobody reached. For a run without training, or a metric that is
        neither good low nor high, the table of `round_times` instead, with `stalled` and `reasons`.

    Raises:
        ResultsError: no results, an unknown baseline, a metric that isn't measured here, or targets
            of one without a good direction.
    """
    (metrics, finished), schema = curves(folder), load_schema(folder)
    column = chosen(schema, metric) if targets is None else aimed(schema, metric)
    rows = measured(metrics, finished, column)
    if rows.empty and (metric, targets) != (None, None):
        clocked = ", ".join(spelled(other) for other in schema.metrics if other.clock)
        raise ResultsError(
            f"metric = {spelled(column)!r}: isn't measured without training, and this run was one "
            f"of the clock alone; choose from {clocked}"
        )
    if rows.empty or column.good is None:
        return _with_reasons(round_times(metrics, schema), finished, trials(folder), schema)
    found = list(round_targets(rows, schema, metric) if targets is None else dict.fromkeys(targets))
    wanted = found or _stop_target(folder, column) or [math.nan]
    table = compare(rows, schema, wanted, metric=metric, baseline=baseline)
    same = _same(table, finished, schema)
    table["diverged"] = [int((rows["status"] == "diverged").sum()) for rows in same]
    table["diverged_at_s"] = [rows["diverged_at_s"].min() for rows in same]
    table["title"] = column.title
    return _with_reasons(table, finished, trials(folder), schema)


def _stop_target(folder: str | Path, column: Column) -> list[float]:
    """The value of a metric at which the scenario ends a trial; none, where there is none."""
    stop = scenario(folder).get("stop", {})
    if column.name == "train_loss" and "target_train_loss" in stop:
        return [float(stop["target_train_loss"])]
    target = stop.get("target", {})
    metric = target.get("metric", "")
    name = column_name(str(metric["kind"] if isinstance(metric, dict) else metric))
    good = {"below": "low", "above": "high"}.get(target.get("when"), column.good)
    return [float(target["value"])] if (name, good) == (column.name, column.good) else []


def _same(table: pd.DataFrame, finished: pd.DataFrame, schema: ResultsSchema) -> list[pd.DataFrame]:
    """For each row of a table the trials of its point and algorithm."""
    keys = [key for key in sweep_keys(finished, schema) if key in table]
    return [
        at_point(finished, {key: row[key] for key in [*keys, "algorithm"]})
        for row in table.to_dict("records")
    ]


def _with_reasons(
    table: pd.DataFrame, finished: pd.DataFrame, each: pd.DataFrame, schema: ResultsSchema
) -> pd.DataFrame:
    """With the number of seeds that stalled, and why: of each run, where runs are joined."""
    counts = [int((rows["status"] == "stalled").sum()) for rows in _same(table, finished, schema)]
    reasons = ["\n".join(reason_lines(rows)) for rows in _same(table, each, schema)]
    return table.assign(stalled=counts, reasons=reasons)


def reason_lines(finished: pd.DataFrame) -> list[str]:
    """A line for each trial that stalled, or diverged in a message; see `stall_lines`."""
    return [*divergence_lines(finished[finished["diverged"].notna()]), *stall_lines(finished)]


def stall_lines(finished: pd.DataFrame) -> list[str]:
    """A line for each trial that stalled, with the reason.

    Args:
        finished: from `trials`, or a part of it.
    """
    rows = finished[finished["status"] == "stalled"]
    return [f"{name} stalled: {why}" for name, why in zip(rows.trial, rows.stalled, strict=True)]


def divergence_lines(finished: pd.DataFrame) -> list[str]:
    """A line for each trial that diverged, with the message in which it did; see `stall_lines`."""
    rows = finished[finished["status"] == "diverged"]
    return [
        f"{name} diverged at {at_s:.4g} simulated s" + ("." if pd.isna(why) else f": {why}")
        for name, at_s, why in zip(rows.trial, rows.diverged_at_s, rows.diverged, strict=True)
    ]


def round_times(metrics: pd.DataFrame, schema: ResultsSchema) -> pd.DataFrame:
    """The pace of each algorithm, which does not depend on what it learns.

    Args:
        metrics: from `load`, or a part of it.
        schema: from `load_schema`.

    Returns:
        One row per sweep point and algorithm: the sweep keys, `algorithm, seeds`, and means over
        seeds of `rounds`, `time_s` (simulated, at the last evaluation), `round_s` (simulated s
        per round, a round being the mean number of local steps) and `round_bits` (bits on all
        links per round), with `round_low_s` and `round_high_s`, the fastest and the slowest seed.
    """
    rows = []
    for point in sweep_points(metrics, sweep_keys(metrics, schema)):
        for label, part in at_point(metrics, point).groupby("algorithm", sort=False):
            last = part.groupby("trial", sort=False).last()
            rounds = last["round"].where(last["round"] > 0)  # no round done: no pace
            round_s = last["time_s"] / rounds
            rows.append(
                {
                    **point,
                    "algorithm": label,
                    "seeds": len(last),
                    "rounds": last["round"].mean(),
                    "time_s": last["time_s"].mean(),
                    "round_s": round_s.mean(),
                    "round_low_s": round_s.min(),
                    "round_high_s": round_s.max(),
                    "round_bits": (last["bits_sent"] / rounds).mean(),
                }
            )
    return pd.DataFrame(rows)


def summary_cells(table: pd.DataFrame) -> pd.DataFrame:
    """What `summary` returned, as text for people: units, intervals, and who did not get there.

    Args:
        table: from `summary`.

    Returns:
        One column of text per column to show, headed as it should be.
    """
    rows = table.to_dict("records")
    given = set(table.columns)
    keys = _point_keys(table)
    words = [key.rsplit(".", 1)[-1] for key in keys]
    heads = words if len(set(words)) == len(words) else keys
    point = {
        head: [_plain(row[key]) for row in rows] for head, key in zip(heads, keys, strict=True)
    }
    if "target" not in given:
        cells = {
            "algorithm": [row["algorithm"] for row in rows],
            "rounds": [_plain(row["rounds"]) for row in rows],
            "simulated time": [_seconds(row["time_s"]) for row in rows],
            "time per round": [_seconds(row["round_s"]) for row in rows],
            "bits per round": [format_bits(row["round_bits"]) for row in rows],
        }
        if "stalled" in given and table["stalled"].any():
            cells["note"] = [_stall_note(row) for row in rows]
    else:
        references = {
            tuple(row[key] for key in [*keys, "target"]): row
            for row in rows
            if row["algorithm"] == row["baseline"]
        }
        cells = {
            f"target {rows[0]['title']}": [_plain(row["target"]) for row in rows],
            "algorithm": [row["algorithm"] for row in rows],
            "time to target": [_time_cell(row) for row in rows],
            f"speedup over {rows[0]['baseline']} (95 %)": [_speedup_cell(row) for row in rows],
            "bits to target": [format_bits(row["bits"]) for row in rows],
            "note": [
                _note(row, references.get(tuple(row[key] for key in [*keys, "target"])))
                for row in rows
            ],
        }
    return pd.DataFrame(point | cells)


def summary_table(table: pd.DataFrame, title: str = "") -> Group:
    """What `summary` returned, for the terminal: a table, and below it the notes.

    Args:
        table: from `summary`.
        title: put above it; none if empty.
    """
    cells = summary_cells(table)
    # Texts, not markup: a label may hold brackets, or words between colons.
    rendered = Table(
        title=Text(title) if title else None, collapse_padding=True, box=box.SIMPLE, pad_edge=False
    )
    notes: list[str] = []
    asked = list(cells.columns[: list(cells.columns).index("algorithm")])
    if "note" in cells:
        told = cells[cells["note"] != ""].groupby([*asked, "note"], sort=False)["algorithm"]
        # Each note once for all algorithms at a point and a target that have it.
        notes = [f"{', '.join([*where, *labels])}: {note}" for (*where, note), labels in told]
        notes += _reasons(table)
        cells = cells.drop(columns="note")
    for name in cells.columns:
        width = max(map(len, cells[name]))
        # Headings are folded, so that all fits into a narrow terminal; numbers never, labels if
        # they must.
        word = min(max(map(len, name.split())), _LABEL)
        heading = textwrap.fill(name, max(width, word), break_on_hyphens=False)
        if name == "algorithm":
            rendered.add_column(Text(heading), min_width=min(width, _LABEL))
        else:
            rendered.add_column(Text(heading), justify="right", min_width=width)
    # A section per question: a point of the sweep and a target.
    first = (cells[asked] != cells[asked].shift()).any(axis=1)
    cells.loc[~first, asked] = ""
    for row, begins in zip(cells.itertuples(index=False), first, strict=True):
        if begins:
            rendered.add_section()
        rendered.add_row(*map(Text, row))
    return Group(rendered, *(Text(note, style="table.caption") for note in notes))


def format_bits(bits: float) -> str:
    """Bits with a decimal prefix: `format_bits(3.18e6) == "3.18 Mbit"`; a dash for NaN."""
    if not math.isfinite(bits):
        return "-"
    prefixes = ("", "k", "M", "G", "T", "P", "E")
    step = min(int(math.log10(bits) // 3), len(prefixes) - 1) if bits >= 1 else 0
    return f"{bits / 1000**step:.3g} {prefixes[step]}bit"


def _point_keys(table: pd.DataFrame) -> list[str]:
    before = list(table.columns[: list(table.columns).index("algorithm")])
    return [name for name in before if name not in ("metric", "target")]


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4g}"
    return str(value)


def _seconds(time_s: float) -> str:
    return f"{time_s:.4g} s" if np.isfinite(time_s) else "-"


def _time_cell(row: dict[str, Any]) -> str:
    return _seconds(row["time_s"]) if row["reached"] else "not reached"


def _speedup_cell(row: dict[str, Any]) -> str:
    if row["algorithm"] == row["baseline"]:
        return "1" if row["reached"] else "-"
    if not row["pairs"]:
        return "-"
    interval = f" ({row['speedup_low']:.2f} - {row['speedup_high']:.2f})"
    return f"{row['speedup']:.2f}" + (interval if row["pairs"] > 1 else " (one seed)")


def _reasons(table: pd.DataFrame) -> list[str]:
    """Why trials stalled or diverged, each once."""
    lines = list(dict.fromkeys(line for cell in table["reasons"] for line in cell.splitlines()))
    more = len(lines) - _MOST_REASONS
    return lines[:_MOST_REASONS] + ([f"and {more} more gave up"] if more > 0 else [])


def _stall_note(row: dict[str, Any]) -> str:
    return f"{row['stalled']} of {row['seeds']} seeds stalled" if row["stalled"] else ""


def _note(row: dict[str, Any], reference: dict[str, Any] | None) -> str:
    """Whatever a mean over only some of the seeds would hide."""
    notes = []
    if 0 < row["reached"] < row["seeds"]:
        notes.append(f"reached by {row['reached']} of {row['seeds']} seeds")
    if _before_training(row):
        notes.append("met before training")
    elif reference and _before_training(reference):
        notes.append(f"{row['baseline']} met it before training")
    elif row["reached"] and not row["pairs"]:
        notes.append(f"{row['baseline']} did not reach it")
    elif row["pairs"] < row["reached"]:
        notes.append(f"{row['baseline']} reached it in {row['pairs']} of these")
    if row["diverged"]:
        notes.append(
            f"{row['diverged']} of {row['seeds']} seeds diverged, first at "
            f"{_seconds(row['diverged_at_s'])}"
        )
    return "; ".join([*notes, stalled] if (stalled := _stall_note(row)) else notes)


def _before_training(row: dict[str, Any]) -> bool:
    """Whether a seed met the target at time 0: that has no ratio to any other time."""
    return bool(row["time_low_s"] == 0)
