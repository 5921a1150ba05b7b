"""Figures `speedup-vs-target` and `bits-to-target`: what a loss costs, for every loss."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter
from numpy.typing import NDArray

from desim.analysis import style
from desim.analysis.style import Look


def speedup_vs_target(
    table: pd.DataFrame, finished: pd.DataFrame, looks: Mapping[str, Look]
) -> Figure:
    """Above, the time to each target; below, the speedup over the baseline with its interval.

    Harder targets are to the right. A curve is thin where only some of the seeds reached the
    target and ends where none did.

    Args:
        table: from `compare`, of one sweep point, on a grid of targets.
        finished: from `trials`, of the same.
        looks: from `style.looks`, of every algorithm.
    """
    figure = style.new_figure(6.4)
    upper, lower = figure.subplots(2, 1, sharex=True)
    _curves(upper, table, looks, "time_s", "time_low_s", "time_high_s", "reached")
    upper.set_ylabel("time to target [s]")
    upper.set_ylim(bottom=0)
    others = table[table["algorithm"] != table["baseline"]]
    lower.axhline(1, **_baseline_line(table, looks))
    _curves(lower, others, looks, "speedup", "speedup_low", "speedup_high", "pairs")
    _speedup_axis(lower, others)
    lower.set_ylabel(f"speedup over {table['baseline'].iloc[0]}")
    _target_axis(lower, table)
    caption = style.seeds_caption(finished, speedup=True)
    style.legend_above(figure, _handles(table, looks), caption)
    return figure


def bits_to_target(
    table: pd.DataFrame, finished: pd.DataFrame, looks: Mapping[str, Look]
) -> Figure:
    """Bits on all links until each target; arguments and curves as in `speedup_vs_target`."""
    figure = style.new_figure(4.4)
    axes = figure.subplots()
    _curves(axes, table, looks, "bits", "bits_low", "bits_high", "reached")
    bits = table["bits"].to_numpy(dtype=float)
    sent = bits[np.isfinite(bits) & (bits > 0)]
    if len(sent):
        axes.set_yscale("log")
        style.plain_log_ticks(axes.yaxis, float(sent.min()), float(sent.max()))
    axes.yaxis.set_major_formatter(EngFormatter())
    axes.set_ylabel("bits to target, all links [bit]")
    _target_axis(axes, table)
    style.legend_above(figure, _handles(table, looks), style.seeds_caption(finished))
    return figure


def _curves(
    axes: Axes,
    table: pd.DataFrame,
    looks: Mapping[str, Look],
    mean: str,
    low: str,
    high: str,
    count: str,
) -> None:
    labels = list(table["algorithm"].unique())
    for place, label in enumerate(labels):
        rows = table[table["algorithm"] == label]
        look = looks[label]
        target = rows["target_loss"].to_numpy(dtype=float)
        value = rows[mean].to_numpy(dtype=float)
        whole = (rows[count] == rows["seeds"]).to_numpy()
        partly = np.where(_with_neighbours(~whole), value, np.nan)
        axes.plot(target, partly, color=look.colour, linestyle=look.dashes, lw=0.8)
        solid = np.where(whole, value, np.nan)
        marks = [k for k in style.marks(len(target), place, len(labels)) if whole[k]]
        axes.plot(target, solid, markevery=marks, **look.line())
        opacity = style.band_alpha(len(labels))
        for where, alpha in ((whole, opacity), (~whole, opacity / 2)):
            band: dict[str, Any] = {"color": look.colour, "alpha": alpha, "lw": 0}
            axes.fill_between(target, rows[low], rows[high], where=where, **band)


def _with_neighbours(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Also true next to a true entry, so that a thin line joins the thick one."""
    wider = mask.copy()
    wider[1:] |= mask[:-1]
    wider[:-1] |= mask[1:]
    return wider


def _speedup_axis(axes: Axes, rows: pd.DataFrame) -> None:
    """A log scale: twice as fast and half as fast lie equally far from 1."""
    means = rows["speedup"].to_numpy(dtype=float)
    known = np.append(means[np.isfinite(means)], 1.0)
    low, high = float(known.min()) / 1.3, float(known.max()) * 1.3
    axes.set_yscale("log")
    style.plain_log_ticks(axes.yaxis, low, high)
    # An interval from two seeds can be a hundredfold wide; it may leave the panel.
    axes.set_ylim(low, high)


def _target_axis(axes: Axes, table: pd.DataFrame) -> None:
    style.loss_axis(axes, "x", table["target_loss"].to_numpy(dtype=float))
    axes.set_xlim(table["target_loss"].max(), table["target_loss"].min())
    axes.set_xlabel("target training loss (harder to the right)")


def _baseline_line(table: pd.DataFrame, looks: Mapping[str, Look]) -> dict[str, Any]:
    look = looks[table["baseline"].iloc[0]]
    return {"color": look.colour, "linestyle": look.dashes, "lw": 1.4}


def _handles(table: pd.DataFrame, looks: Mapping[str, Look]) -> list[Line2D]:
    handles = style.curve_handles(looks, list(table["algorithm"].unique()))
    if (table["reached"].between(1, table["seeds"] - 1)).any():
        handles.append(Line2D([], [], color=style.GREY, lw=0.8, label="some seeds only"))
    return handles
