"""Figures `speedup-vs-<key>`, `loss-vs-<key>` and `round-time-vs-<key>`: what a setting changes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from desim.analysis import style
from desim.analysis.style import Look

_MOST_TARGETS = 3
_MOST_TICKS = 4  # under one of three panels; more would run into each other


def speedup_vs_key(table: pd.DataFrame, key: str, looks: Mapping[str, Look]) -> Figure:
    """Time to target (above) and speedup (below) against one swept value, a column per target.

    Where there is but one algorithm, its time to target alone.

    A point is missing where no seed reached the target, and hollow where only some did.

    Args:
        table: from `compare` on a few targets; all its other sweep keys constant.
        key: a numeric sweep key, as a dotted name.
        looks: from `style.looks`, of every algorithm.
    """
    # A target that no two reached says nothing about a speedup.
    compared = table[(table["algorithm"] != table["baseline"]) & (table["pairs"] > 0)]
    targets = (table if compared.empty else compared)["target_loss"].unique()
    if len(targets) > _MOST_TARGETS:
        targets = targets[np.linspace(0, len(targets) - 1, _MOST_TARGETS).round().astype(int)]
    alone = table["algorithm"].nunique() == 1
    figure = style.new_figure(3.6 if alone else 5.6)
    panels = figure.subplots(
        1 if alone else 2, len(targets), sharex=True, sharey="row", squeeze=False
    )
    times = ("time_s", "time_low_s", "time_high_s", "reached")
    ratios = ("speedup", "speedup_low", "speedup_high", "pairs")
    for column, target in zip(panels.T, targets, strict=True):
        rows = table[table["target_loss"] == target]
        for axes, columns in zip(column, (times, ratios), strict=False):
            _curves(axes, rows, key, looks, columns)
        column[0].set_title(f"to a loss of {target:g}", fontsize="medium")
        column[-1].set_xlabel(_name(key))
        _value_axis(column[-1], table[key], len(targets))
    panels[0, 0].set_ylabel("time to target [s]")
    _ratio_axis(panels[0, 0], pd.concat([table["time_low_s"], table["time_high_s"]]))
    caption = "bars: range over seeds"
    if not alone:
        panels[1, 0].set_ylabel(f"speedup over {table['baseline'].iloc[0]}")
        _ratio_axis(panels[1, 0], pd.concat([table["speedup"], pd.Series([1.0])]))
        caption += " (top), 95 % interval (bottom)"
    several = table["seeds"].max() > 1
    handles = style.curve_handles(looks, list(table["algorithm"].unique()))
    if table["reached"].between(1, table["seeds"] - 1).any():
        handles.append(_some_seeds())
    style.legend_above(figure, handles, caption if several else "one seed")
    return figure


def losses_at(metrics: pd.DataFrame, key: str, time_s: float) -> pd.DataFrame:
    """The training loss at one time for each algorithm and value of a sweep key.

    Between the two evaluations around that time the loss is taken as linear in time; before the
    first one it isn't known. A trial that stalled stays at its last loss, since nothing changes any
    more.

    Args:
        metrics: from `curves`; all its other sweep keys constant.
        key: a sweep key.
        time_s: simulated s at which all trials were still going on, or ended.

    Returns:
        One row per algorithm and value, with `loss, loss_low, loss_high` (mean, least and most over
        the seeds whose loss is known and finite), `reached` (their number) and `seeds`.
    """
    rows = []
    for (label, value), runs in metrics.groupby(["algorithm", key], sort=False):
        ends = (runs[runs["trial"] == name] for name in runs["trial"].unique())
        at = np.array(
            [np.interp(time_s, run["time_s"], run["train_loss"], left=np.nan) for run in ends]
        )
        sound = at[np.isfinite(at)]
        mean, low, high = np.nan, np.nan, np.nan
        if len(sound):
            mean, low, high = sound.mean(), sound.min(), sound.max()
        losses = {"loss": mean, "loss_low": low, "loss_high": high}
        counts = {"reached": len(sound), "seeds": len(at)}
        rows.append({"algorithm": label, key: value, **losses, **counts})
    return pd.DataFrame(rows)


def loss_vs_key(table: pd.DataFrame, key: str, time_s: float, looks: Mapping[str, Look]) -> Figure:
    """Training loss at one time against one swept value; hollow where only some seeds have one.

    Args:
        table: from `losses_at`.
        key: a numeric sweep key, as a dotted name.
        time_s: the time, in simulated s.
        looks: from `style.looks`, of every algorithm.
    """
    figure = style.new_figure(4.4)
    axes = figure.subplots()
    _curves(axes, table, key, looks, ("loss", "loss_low", "loss_high", "reached"))
    known = table[["loss_low", "loss_high"]].to_numpy(dtype=float)
    style.loss_axis(axes, "y", known)
    _value_axis(axes, table[key])
    axes.set_xlabel(_name(key))
    axes.set_ylabel(f"training loss at {time_s:.4g} s")
    handles = style.curve_handles(looks, list(table["algorithm"].unique()))
    if table["reached"].between(1, table["seeds"] - 1).any():
        handles.append(_some_seeds())
    several = table["seeds"].max() > 1
    style.legend_above(figure, handles, "bars: range over seeds" if several else "one seed")
    return figure


def round_time_vs_key(table: pd.DataFrame, key: str, looks: Mapping[str, Look]) -> Figure:
    """Simulated time per round against one swept value; what a run without training can tell.

    Args:
        table: from `round_times`; all its other sweep keys constant.
        key: a numeric sweep key, as a dotted name.
        looks: from `style.looks`, of every algorithm.
    """
    figure = style.new_figure(4.4)
    axes = figure.subplots()
    whole = table.assign(reached=table["seeds"])
    _curves(axes, whole, key, looks, ("round_s", "round_low_s", "round_high_s", "reached"))
    _ratio_axis(axes, table["round_s"])
    _value_axis(axes, table[key])
    axes.set_xlabel(_name(key))
    axes.set_ylabel("time per round [s]")
    handles = style.curve_handles(looks, list(table["algorithm"].unique()))
    several = table["seeds"].max() > 1
    style.legend_above(figure, handles, "bars: range over seeds" if several else "one seed")
    return figure


def _curves(
    axes: Axes,
    table: pd.DataFrame,
    key: str,
    looks: Mapping[str, Look],
    columns: tuple[str, str, str, str],
) -> None:
    mean, low, high, count = columns
    for label, rows in table.groupby("algorithm", sort=False):
        along = rows.sort_values(key)
        value = along[mean]
        reach = np.array([value - along[low], along[high] - value])
        bars = np.nan_to_num(np.maximum(reach, 0))  # no interval: no bar
        line = looks[str(label)].line()
        axes.errorbar(along[key], value, yerr=bars, capsize=2, elinewidth=0.9, **line)
        partly = along[along[count] < along["seeds"]]
        hollow = line | {"linestyle": "", "markerfacecolor": "white", "zorder": 5}
        axes.plot(partly[key], partly[mean], **hollow)


def _some_seeds() -> Line2D:
    hollow: dict[str, Any] = {"color": style.GREY, "ls": "", "markerfacecolor": "white"}
    return Line2D([], [], marker="o", label="some seeds only", **hollow)


def _value_axis(axes: Axes, values: pd.Series, panels: int = 1) -> None:
    low, high = float(values.min()), float(values.max())
    if low > 0 and high / low > 20:
        axes.set_xscale("log")
        style.plain_log_ticks(axes.xaxis, low, high)
        if values.nunique() <= _MOST_TICKS:
            axes.set_xticks(sorted(values.unique()))
        elif panels > 1:
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0,)))


def _ratio_axis(axes: Axes, values: pd.Series) -> None:
    known = values[np.isfinite(values) & (values > 0)]
    if known.empty:
        return
    low, high = float(known.min()) / 1.3, float(known.max()) * 1.3
    axes.set_yscale("log")
    style.plain_log_ticks(axes.yaxis, low, high)
    axes.set_ylim(low, high)


def _name(key: str) -> str:
    """The last word of a key, with its unit set apart: `network.latency_s` is `latency [s]`."""
    word = key.rsplit(".", 1)[-1]
    units = {"s": "s", "bps": "bit/s", "bits": "bit", "sps": "samples/s"}
    stem, _, unit = word.rpartition("_")
    if stem and unit in units:
        return f"{stem.replace('_', ' ')} [{units[unit]}]"
    return word.replace("_", " ")
