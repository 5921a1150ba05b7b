"""Figure `sensitivity`: how much the objective depends on the step size, or on the deadline."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import blended_transform_factory

from analysis import style
from analysis.style import Look

#: Where candidates without a number stand, as a share of the axes' height: above their top, the
#: algorithms in rows of their own, the first one highest.
_FAILED_AT, _FAILED_STEP = 1.04, 0.045


def sensitivity(candidates: pd.DataFrame, looks: Mapping[str, Look]) -> Figure:
    """The mean objective of each candidate, the best one ringed.

    Candidates that diverged or missed the target for some seed stand hollow above the axes.
    Where epsilon was searched too, each value is drawn with the best epsilon for it.

    Args:
        candidates: from `load_candidates`.
        looks: from `style.looks`, of every algorithm.
    """
    table = _means(candidates)
    figure = style.new_figure(4.4)
    axes = figure.subplots()
    axes.set_xscale("log")
    labels = list(table["algorithm"].unique())
    failed = table[~np.isfinite(table["score"])]
    for label in labels:
        _curve(axes, table[table["algorithm"] == label], looks[label])
    _failures(axes, failed, looks)
    handles = _handles(table, looks)
    if set(candidates["parameter"]) == {"T_d"}:
        handles.append(_rules(axes, table))
    style.plain_log_ticks(axes.xaxis, table["value"].min(), table["value"].max())
    _score_axis(axes, table["score"])
    axes.set_xlabel(_parameters(candidates))
    axes.set_ylabel(_measure(str(candidates["objective"].iloc[0])))
    style.legend_above(figure, handles, _caption(candidates))
    return figure


def _means(candidates: pd.DataFrame) -> pd.DataFrame:
    """One row per algorithm and value: the mean, the lowest and the highest of its seeds."""
    keys = ["algorithm", "value", "epsilon"]
    score = candidates.groupby(keys, sort=False, dropna=False)["score"]
    marks = candidates.groupby(keys, sort=False, dropna=False)[["best", "own"]].any()
    table = score.agg(["mean", "min", "max"]).join(marks).reset_index()
    table = table.rename(columns={"mean": "score", "min": "low", "max": "high"})
    order = table["algorithm"].map({a: k for k, a in enumerate(candidates["algorithm"].unique())})
    table = table.assign(order=order).sort_values(
        ["order", "value", "best", "score"], ascending=[True, True, False, True]
    )
    return table.drop_duplicates(["algorithm", "value"]).reset_index(drop=True)


def _curve(axes: Axes, rows: pd.DataFrame, look: Look) -> None:
    fits = rows[np.isfinite(rows["score"])]
    reach = np.array([fits["score"] - fits["low"], fits["high"] - fits["score"]])
    axes.errorbar(
        fits["value"], fits["score"], yerr=np.maximum(reach, 0), elinewidth=0.9, **look.line()
    )
    best = fits[fits["best"]]
    ring: dict[str, Any] = {"ls": "", "marker": "o", "markersize": 13, "markerfacecolor": "none"}
    axes.plot(best["value"], best["score"], markeredgecolor=look.colour, mew=1.8, zorder=5, **ring)


def _failures(axes: Axes, failed: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    labels = list(failed["algorithm"].unique())
    where = blended_transform_factory(axes.transData, axes.transAxes)
    for row, label in enumerate(reversed(labels)):
        values = failed.loc[failed["algorithm"] == label, "value"]
        height = np.full(len(values), _FAILED_AT + row * _FAILED_STEP)
        look = looks[label].line() | {"linestyle": "", "markerfacecolor": "white"}
        axes.plot(values, height, transform=where, clip_on=False, **look)
    if labels:
        middle = _FAILED_AT + (len(labels) - 1) / 2 * _FAILED_STEP
        place: dict[str, Any] = {"transform": axes.transAxes, "ha": "right", "va": "center"}
        axes.text(-0.02, middle, "failed", fontsize="small", color=style.GREY, **place)


def _rules(axes: Axes, table: pd.DataFrame) -> Line2D:
    """A line at each deadline that T_d = b / E[V] gives, and its entry in the legend."""
    line: dict[str, Any] = {"color": style.GREY, "linestyle": (0, (2, 2)), "linewidth": 1.2}
    for value in table.loc[table["own"], "value"].unique():
        axes.axvline(value, zorder=0, **line)
    return Line2D([], [], label="b / E[V]", **line)


def _score_axis(axes: Axes, score: pd.Series) -> None:
    known = score[np.isfinite(score) & (score > 0)]
    if known.empty or len(known) < np.isfinite(score).sum():
        return
    axes.set_yscale("log")
    style.plain_log_ticks(axes.yaxis, float(known.min()), float(known.max()))


def _handles(table: pd.DataFrame, looks: Mapping[str, Look]) -> list[Line2D]:
    handles = style.curve_handles(looks, list(table["algorithm"].unique()))
    if (table["best"] & np.isfinite(table["score"])).any():
        ring: dict[str, Any] = {"markersize": 11, "markerfacecolor": "none", "mew": 1.8}
        handles.append(Line2D([], [], color=style.GREY, ls="", marker="o", label="best", **ring))
    return handles


def _caption(candidates: pd.DataFrame) -> str:
    words = "one seed" if candidates["seed"].nunique() == 1 else style.seeds_caption(candidates)
    words = words.replace("band", "bars")
    if np.isfinite(candidates["score"]).all():
        return words
    timed = str(candidates["objective"].iloc[0]).startswith("time")
    return f"{words}; failed: diverged{' or missed the target' if timed else ''}"


def _parameters(candidates: pd.DataFrame) -> str:
    names = list(candidates["parameter"].unique())
    return "deadline T_d [s]" if names == ["T_d"] else f"step size {' or '.join(names)}"


def _measure(objective: str) -> str:
    return f"{objective} [s]" if objective.startswith("time") else objective
