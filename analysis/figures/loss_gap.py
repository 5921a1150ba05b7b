"""Figure `loss-gap-vs-rounds`: how far the training loss is from the smallest that there is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import style
from analysis.results import label_of
from analysis.style import Look


def loss_gaps(metrics: pd.DataFrame, finished: pd.DataFrame) -> pd.DataFrame:
    """The training loss less the optimal one, where a trial has one.

    Args:
        metrics, finished: from `curves`.

    Returns:
        One row per algorithm and number of rounds after the start, with `gap`, `gap_low` and
        `gap_high`: mean, least and most over seeds; no rows where no optimum is known. A diverged
        trial is left out.
    """
    known = finished[finished["optimal_loss"].notna() & (finished["status"] != "diverged")]
    if known.empty:
        return pd.DataFrame()
    optimum = known.set_index("trial")["optimal_loss"]
    rows = metrics[metrics["trial"].isin(optimum.index) & (metrics["round"] > 0)]
    rows = rows.assign(gap=rows["train_loss"] - rows["trial"].map(optimum))
    return (
        rows.groupby(["algorithm", "round"], sort=False)["gap"]
        .agg(gap="mean", gap_low="min", gap_high="max")
        .reset_index()
    )


def loss_gap_vs_rounds(
    gaps: pd.DataFrame, described: Mapping[str, Any], seeds: str, looks: Mapping[str, Look]
) -> Figure:
    """One curve per algorithm on logarithmic axes, with its slope where a theorem speaks of one.

    With the `convex` step sizes the gap is O(T^(-delta/2)): a dotted line of that slope starts at
    the algorithm's first point.

    Args:
        gaps: from `loss_gaps`.
        described: the scenario.
        seeds: what a line and a band are.
        looks: from `style.looks`, of every algorithm.
    """
    figure = style.new_figure(4.6)
    axes = figure.subplots()
    handles = []
    deltas = {label_of(entry): _delta(entry) for entry in described.get("algorithms", [])}
    for label, rows in gaps.groupby("algorithm", sort=False):
        look, along = looks[str(label)], rows.sort_values("round")
        axes.fill_between(
            along["round"],
            along["gap_low"],
            along["gap_high"],
            color=look.colour,
            alpha=style.BAND_ALPHA,
            lw=0,
        )
        every = style.marks(len(along), 0, 1)
        axes.plot(along["round"], along["gap"], markevery=every, **look.line())
        name, delta = str(label), deltas.get(str(label))
        if delta is not None and len(along) > 1:
            name += f", slope {slope(along):.2f}"
            first = along.iloc[0]
            bound = first["gap"] * (along["round"] / first["round"]) ** (-delta / 2)
            axes.plot(along["round"], bound, color=look.colour, ls=":", lw=1.2)
        handles.append(Line2D([], [], label=name, **look.line()))
    if any(delta is not None for delta in deltas.values()):
        bound_look: dict[str, Any] = {"color": style.GREY, "ls": ":", "lw": 1.2}
        handles.append(Line2D([], [], label="slope -delta/2", **bound_look))
    axes.set_xscale("log")
    rounds = gaps["round"]
    style.plain_log_ticks(axes.xaxis, float(rounds.min()), float(rounds.max()))
    if (gaps["gap_low"] > 0).all():
        axes.set_yscale("log")
        style.plain_log_ticks(axes.yaxis, float(gaps["gap_low"].min()), float(gaps["gap"].max()))
    axes.set_xlabel("rounds")
    axes.set_ylabel("training loss - optimal loss")
    style.legend_above(figure, handles, seeds)
    return figure


def slope(along: pd.DataFrame) -> float:
    """The exponent of the power of T that fits the gaps best, on logarithmic scales."""
    return float(np.polyfit(np.log(along["round"]), np.log(along["gap"]), 1)[0])


def _delta(entry: Mapping[str, Any]) -> float | None:
    """Of an algorithm with the step sizes of the convex theorem."""
    step_size = entry.get("step_size", {})
    return float(step_size["delta"]) if step_size.get("kind") == "convex" else None
