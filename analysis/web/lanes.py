"""What the page's timeline draws: a few workers under each method, as plain numbers."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.figures.timeline import WORKERS, spread_by_speed, window_s
from analysis.results import at_point, load_timeline, sweep_points
from analysis.web.words import listed, number

#: Intervals in the order of their codes in the page.
KINDS = ("wait", "send", "average", "compute")
#: So many numbers stand for an interval.
SPAN = 5
#: Intervals and arrivals in a page, at about 20 bytes each.
MOST_MARKS = 60_000
MOST_SCENES = 4


def scenes(
    folder: str | Path, finished: pd.DataFrame, metrics: pd.DataFrame, most_marks: int = MOST_MARKS
) -> list[dict[str, Any]]:
    """One scene per point of the sweep, of the first four; in it one panel per method.

    The workers are those of the figure `timeline`. A scene is cut where it would hold more than
    its part of the marks, at the same time for all its methods.

    Args:
        folder: what `desim run` wrote.
        finished: from `trials`.
        metrics: from `load`.
        most_marks: intervals and arrivals in all scenes together.

    Returns:
        Tables of plain values: `name, seed, end_s` (of what is held), `whole` (whether that is
        all), `view_s` (what to show first) and `panels`, each with `label, trial, lanes`; a lane
        has `worker, spans` (flat: code of the kind, start in s, length in s, step, samples or
        bits) and `arrivals` (in s).
    """
    points = sweep_points(finished)[:MOST_SCENES]
    return [
        _scene(Path(folder), point, at_point(finished, point), metrics, most_marks // len(points))
        for point in points
    ]


def _scene(
    folder: Path,
    point: dict[str, Any],
    finished: pd.DataFrame,
    metrics: pd.DataFrame,
    most_marks: int,
) -> dict[str, Any]:
    shown = finished.groupby("algorithm", sort=False).head(1)
    view_s = window_s(metrics, shown)
    chosen = spread_by_speed(folder, shown.iloc[0], view_s, WORKERS)
    end_s = float(shown["time_s"].max())
    each = max(1, most_marks // len(shown))
    timelines = []
    for trial in shown["trial"]:
        # Each one is read as far as the one before it allows.
        rows = load_timeline(folder, trial, workers=chosen, until_s=end_s)
        rows = _distinct(rows).sort_values("start_s", kind="stable")
        if len(rows) > each:
            end_s = float(rows["start_s"].iloc[each])
        timelines.append(rows)
    digits = 6 - math.floor(math.log10(end_s)) if end_s > 0 else 0
    panels = [
        {
            "label": str(row["algorithm"]),
            "trial": str(row["trial"]),
            "lanes": [_lane(rows[rows["worker"] == w], w, end_s, digits) for w in chosen],
        }
        for row, rows in zip(shown.to_dict("records"), timelines, strict=True)
    ]
    return {
        "name": listed([f"{key} = {number(value)}" for key, value in point.items()]),
        "seed": int(shown["seed"].iloc[0]),
        "end_s": round(end_s, digits),
        "whole": end_s >= float(shown["time_s"].max()),
        "view_s": round(min(view_s, end_s), digits),
        "panels": panels,
    }


def _distinct(rows: pd.DataFrame) -> pd.DataFrame:
    """Messages that arrive together are one mark."""
    received = rows["kind"] == "receive"
    arrivals = rows[received].drop_duplicates(["worker", "end_s"])
    return pd.concat([rows[~received], arrivals])


def _lane(rows: pd.DataFrame, worker: int, end_s: float, digits: int) -> dict[str, Any]:
    rows = rows[rows["start_s"] <= end_s]
    own = rows[rows["kind"] != "receive"]
    # As a float, each whole number would be written with a point and a zero.
    spans: list[float] = []
    for kind, start_s, stop_s, step, samples, bits in zip(
        *(own[name] for name in ("kind", "start_s", "end_s", "step", "samples", "bits")),
        strict=True,
    ):
        amount = samples if kind == "compute" else bits
        length_s = round(stop_s - start_s, digits)
        spans += [KINDS.index(kind), round(start_s, digits), length_s, int(step), int(amount)]
    arrived_s = rows.loc[rows["kind"] == "receive", "end_s"].to_numpy(dtype=float)
    return {
        "worker": worker,
        "spans": spans,
        "arrivals": np.unique(arrived_s[arrived_s <= end_s].round(digits)).tolist(),
    }
