"""Figure `sensitivity`: how much the objective depends on the step size, or on the deadline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from desim.analysis import style
from desim.analysis.figures.base import Drawing, FigureData, Per, ReportFigure
from desim.analysis.style import LineStyle
from desim.schema.results import Column, FolderKind

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_HEIGHT_IN = 4.4
#: Of each algorithm in the strip of candidates without a number.
_ROW_IN = 0.13


class Sensitivity(ReportFigure):
    """The objective of every candidate of a search against its step size, or its deadline."""

    kind: ClassVar[str] = "sensitivity"
    title: ClassVar[str] = "How much the objective depends on the step size, or on the deadline"
    description: ClassVar[str] = (
        "One curve per method through its candidates, the best one ringed; those that failed stand "
        "in a strip above."
    )
    order: ClassVar[int] = 1
    per: ClassVar[Per] = "folder"
    of: ClassVar[FolderKind] = "tuning"

    def draw(self, data: FigureData) -> Iterator[Drawing]:
        """The candidates of all methods in one plot."""
        from desim.analysis.tuning import load_candidates

        candidates = load_candidates(data.root)
        yield Drawing(self.kind, sensitivity(candidates, data.styles, data.metric))


def sensitivity(
    candidates: pd.DataFrame, styles: Mapping[str, LineStyle], column: Column
) -> Figure:
    """The mean objective of each candidate, the best one ringed.

    Candidates that diverged or missed the target for some seed stand hollow in a strip above, each
    algorithm in a row. Where epsilon was searched too, each value is drawn with the best epsilon
    for it.

    Args:
        candidates: from `load_candidates`.
        styles: from `style.line_styles`, of every algorithm.
        column: the metric that the objective is about.
    """
    timed = bool(candidates["target"].notna().any())
    table = _means(candidates, falling=timed or column.good != "high")
    labels = list(table["algorithm"].unique())
    failed = table[~np.isfinite(table["score"])]
    strip_in = _ROW_IN * failed["algorithm"].nunique()
    figure = style.new_figure(_HEIGHT_IN + strip_in)
    if failed.empty:
        axes = figure.subplots()
    else:
        strip, axes = figure.subplots(
            2, 1, sharex=True, height_ratios=[strip_in, _HEIGHT_IN - 1], gridspec_kw={"hspace": 0}
        )
        _failures(strip, failed, styles)
    axes.set_xscale("log")
    for label in labels:
        _curve(axes, table[table["algorithm"] == label], styles[label])
    handles = _handles(table, styles)
    if set(candidates["parameter"]) == {"T_d"}:
        handles.append(_rules(axes, table))
    style.plain_log_ticks(axes.xaxis, table["value"].min(), table["value"].max())
    if timed or column.good == "low":
        _log_score_axis(axes, table["score"])
    axes.set_xlabel(_parameters(candidates))
    unit = "s" if timed else column.unit
    axes.set_ylabel(f"{candidates['objective'].iloc[0]}{f' [{unit}]' if unit else ''}")
    style.legend_above(figure, handles, _caption(candidates, timed=timed))
    return figure


def _means(candidates: pd.DataFrame, *, falling: bool) -> pd.DataFrame:
    """One row per algorithm and value: the mean, the lowest and the highest of its seeds.

    Of several consensus steps the best one, which has the least score if low ones are good
    (`falling`), and else the greatest of those that didn't fail.
    """
    keys = ["algorithm", "value", "epsilon"]
    score = candidates.groupby(keys, sort=False, dropna=False)["score"]
    marks = candidates.groupby(keys, sort=False, dropna=False)[["best", "own"]].any()
    table = score.agg(["mean", "min", "max"]).join(marks).reset_index()
    table = table.rename(columns={"mean": "score", "min": "low", "max": "high"})
    order = table["algorithm"].map({a: k for k, a in enumerate(candidates["algorithm"].unique())})
    failed = ~np.isfinite(table["score"])
    table = table.assign(order=order, failed=failed).sort_values(
        ["order", "value", "best", "failed", "score"], ascending=[True, True, False, True, falling]
    )
    return table.drop_duplicates(["algorithm", "value"]).reset_index(drop=True)


def _curve(axes: Axes, rows: pd.DataFrame, line: LineStyle) -> None:
    fits = rows[np.isfinite(rows["score"])]
    reach = np.array([fits["score"] - fits["low"], fits["high"] - fits["score"]])
    axes.errorbar(
        fits["value"], fits["score"], yerr=np.maximum(reach, 0), elinewidth=0.9, **line.keywords()
    )
    best = fits[fits["best"]]
    ring: dict[str, Any] = {"ls": "", "marker": "o", "markersize": 13, "markerfacecolor": "none"}
    axes.plot(best["value"], best["score"], markeredgecolor=line.colour, mew=1.8, zorder=5, **ring)


def _failures(strip: Axes, failed: pd.DataFrame, styles: Mapping[str, LineStyle]) -> None:
    labels = list(failed["algorithm"].unique())
    for row, label in enumerate(labels):
        values = failed.loc[failed["algorithm"] == label, "value"]
        hollow = {"linestyle": "", "markerfacecolor": "white"}
        mark = styles[label].keywords() | hollow
        strip.plot(values, np.full(len(values), row), clip_on=False, **mark)
    strip.set_ylim(len(labels) - 0.5, -0.5)  # the first algorithm on top
    strip.set_yticks([(len(labels) - 1) / 2], ["failed"], fontsize="small", color=style.GREY)
    strip.tick_params(length=0, labelbottom=False)
    strip.grid(visible=False, axis="y")
    for spine in strip.spines.values():
        spine.set_visible(False)


def _rules(axes: Axes, table: pd.DataFrame) -> Line2D:
    """A line at each deadline that T_d = b / E[V] gives, and its entry in the legend."""
    line: dict[str, Any] = {"color": style.GREY, "linestyle": (0, (2, 2)), "linewidth": 1.2}
    for value in table.loc[table["own"], "value"].unique():
        axes.axvline(value, zorder=0, **line)
    return style.handle("b / E[V]", **line)


def _log_score_axis(axes: Axes, score: pd.Series[Any]) -> None:
    known = score[np.isfinite(score) & (score > 0)]
    if known.empty or len(known) < np.isfinite(score).sum():
        return
    axes.set_yscale("log")
    style.plain_log_ticks(axes.yaxis, float(known.min()), float(known.max()))


def _handles(table: pd.DataFrame, styles: Mapping[str, LineStyle]) -> list[Line2D]:
    handles = style.curve_handles(styles, list(table["algorithm"].unique()))
    if (table["best"] & np.isfinite(table["score"])).any():
        ring: dict[str, Any] = {"markersize": 11, "markerfacecolor": "none", "mew": 1.8}
        handles.append(style.handle("best", color=style.GREY, ls="", marker="o", **ring))
    return handles


def _caption(candidates: pd.DataFrame, *, timed: bool) -> str:
    words = "one seed" if candidates["seed"].nunique() == 1 else style.seeds_caption(candidates)
    words = words.replace("band", "bars")
    if np.isfinite(candidates["score"]).all():
        return words
    return f"{words}; failed: diverged{' or missed the target' if timed else ''}"


def _parameters(candidates: pd.DataFrame) -> str:
    names = list(candidates["parameter"].unique())
    return "deadline T_d [s]" if names == ["T_d"] else f"step size {' or '.join(names)}"
