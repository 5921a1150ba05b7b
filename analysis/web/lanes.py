"""What the page's timeline draws: a few workers under each method, as plain numbers."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from desim.analysis.broadcasts import joined
from desim.analysis.figures.timeline import BARS
from desim.analysis.results import at_point, load_timeline
from desim.analysis.shown import (
    MESSAGES,
    new_models_s,
    spread_by_speed,
    window_s,
    with_server,
    workers_shown,
)
from desim.analysis.web.phrases import listed, number

#: Intervals in the order of their codes in the page; later ones are drawn over earlier ones.
KINDS = tuple(BARS)
#: So many numbers stand for an interval.
SPAN = 5
#: Intervals and arrivals in a page, at about 20 bytes each.
MOST_MARKS = 60_000
MOST_SCENES = 4


def scenes(
    folder: str | Path,
    finished: pd.DataFrame,
    metrics: pd.DataFrame,
    points: Sequence[Mapping[str, Any]] = ({},),
    most_marks: int = MOST_MARKS,
) -> list[dict[str, Any]]:
    """One scene per point of the sweep, of the first four; in it one panel per method.

    The workers are those of the figure `timeline`. A scene is cut where it would hold more than
    its part of the marks, at the same time for all its methods.

    Args:
        folder: what `desim run` wrote.
        finished: from `trials`.
        metrics: from `load`.
        points: of the sweep; one empty point where there is none.
        most_marks: intervals and arrivals in all scenes together.

    Returns:
        Tables of plain values: `name, seed, end_s` (of what is held), `whole` (whether that is
        all), `view_s` (what to show first) and `panels`, each with `label, trial, lanes`; a lane
        has `worker` (its number; None for the server, last where a method has one), `spans` (flat:
        code of the kind, start in s, length in s, step, samples or bits), and, in s, `steps` (when
        it goes on from a new model), `arrivals` and `drops` (of messages to it).
    """
    drawn = points[:MOST_SCENES]
    return [
        _scene(Path(folder), point, at_point(finished, point), metrics, most_marks // len(drawn))
        for point in drawn
    ]


def _scene(
    folder: Path,
    point: Mapping[str, Any],
    finished: pd.DataFrame,
    metrics: pd.DataFrame,
    most_marks: int,
) -> dict[str, Any]:
    shown = finished.groupby("algorithm", sort=False).head(1)
    view_s = window_s(metrics, shown)
    chosen = spread_by_speed(folder, shown.iloc[0], view_s, workers_shown(len(shown)))
    end_s = float(shown["time_s"].max())
    each = max(1, most_marks // len(shown))
    timelines = []
    for trial in shown.to_dict("records"):
        nodes = with_server(trial, chosen)
        # Each one is read as far as the one before it allows.
        rows = joined(load_timeline(folder, trial["trial"], workers=nodes, until_s=end_s))
        rows = _distinct(rows).sort_values("start_s", kind="stable")
        if len(rows) > each:
            end_s = float(rows["start_s"].iloc[each])
        timelines.append(rows)
    digits = 6 - math.floor(math.log10(end_s)) if end_s > 0 else 0
    panels = [
        {
            "label": str(row["algorithm"]),
            "trial": str(row["trial"]),
            "lanes": [
                {"worker": None if node == row["workers"] else node}
                | _lane(rows[rows["worker"] == node], end_s, digits)
                for node in with_server(row, chosen)
            ],
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


def kinds_in(shown: list[dict[str, Any]]) -> set[str]:
    """The kinds of interval in scenes, and "drop" where a message is dropped."""
    lanes = [lane for scene in shown for panel in scene["panels"] for lane in panel["lanes"]]
    dropped = {"drop"} if any(lane["drops"] for lane in lanes) else set()
    return dropped | {KINDS[int(code)] for lane in lanes for code in lane["spans"][::SPAN]}


def _distinct(rows: pd.DataFrame) -> pd.DataFrame:
    """Messages that arrive, or are dropped, together are one mark."""
    passing = rows["kind"].isin(MESSAGES)
    marks = rows[passing].drop_duplicates(["worker", "kind", "end_s"])
    return pd.concat([rows[~passing], marks])


def _lane(rows: pd.DataFrame, end_s: float, digits: int) -> dict[str, Any]:
    rows = rows[rows["start_s"] <= end_s]
    own = rows[~rows["kind"].isin(MESSAGES)]
    # As a float, each whole number would be written with a point and a zero.
    spans: list[float] = []
    for kind, start_s, stop_s, step, samples, bits in zip(
        *(own[name] for name in ("kind", "start_s", "end_s", "step", "samples", "bits")),
        strict=True,
    ):
        amount = samples if kind == "compute" else bits
        length_s = round(stop_s - start_s, digits)
        spans += [KINDS.index(kind), round(start_s, digits), length_s, int(step), int(amount)]

    def ends(kind: str) -> list[float]:
        passed_s = rows.loc[rows["kind"] == kind, "end_s"].to_numpy(dtype=float)
        return [float(time_s) for time_s in np.unique(passed_s[passed_s <= end_s].round(digits))]

    return {
        "spans": spans,
        "steps": new_models_s(rows).round(digits).tolist(),
        "arrivals": ends("receive"),
        "drops": ends("drop"),
    }
