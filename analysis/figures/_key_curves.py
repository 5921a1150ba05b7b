"""What figures against a swept number share: the curves, their legend and the axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from desim.analysis import style
from desim.analysis.style import LineStyle

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_MOST_TICKS = 4  # under one of three panels; more would run into each other


def draw_curves(
    axes: Axes,
    table: pd.DataFrame,
    key: str,
    styles: Mapping[str, LineStyle],
    columns: Sequence[str],
) -> None:
    """One curve per algorithm with bars, hollow where only some of its seeds count.

    Args:
        axes: what is drawn on.
        table: a row per algorithm and value of the key, with `seeds`.
        key: a numeric sweep key.
        styles: from `style.line_styles`, of every algorithm.
        columns: of the table: the mean, the lowest, the highest and the number of seeds that count.
    """
    mean, low, high, count = columns
    for label, rows in table.groupby("algorithm", sort=False):
        along = rows.sort_values(key)
        value = along[mean]
        reach = np.array([value - along[low], along[high] - value])
        bars = np.nan_to_num(np.maximum(reach, 0))  # no interval: no bar
        line = styles[str(label)].keywords()
        axes.errorbar(along[key], value, yerr=bars, capsize=2, elinewidth=0.9, **line)
        partly = along[along[count] < along["seeds"]]
        hollow = line | {"linestyle": "", "markerfacecolor": "white", "zorder": 5}
        axes.plot(partly[key], partly[mean], **hollow)


def curve_legend(table: pd.DataFrame, styles: Mapping[str, LineStyle]) -> list[Line2D]:
    """Legend entries of the algorithms, and of hollow markers where there are any."""
    handles = style.curve_handles(styles, list(table["algorithm"].unique()))
    if table["reached"].between(1, table["seeds"] - 1).any():
        hollow: dict[str, Any] = {"color": style.GREY, "ls": "", "markerfacecolor": "white"}
        handles.append(style.handle("some seeds only", marker="o", **hollow))
    return handles


def key_axis(axes: Axes, table: pd.DataFrame, key: str, panels: int = 1) -> None:
    """The x axis: the swept value, beside so many panels; logarithmic if it spans much."""
    from matplotlib.ticker import LogLocator

    axes.set_xlabel(_name(key))
    values = table[key]
    low, high = float(values.min()), float(values.max())
    if low > 0 and high / low > 20:
        axes.set_xscale("log")
        style.plain_log_ticks(axes.xaxis, low, high)
        if values.nunique() <= _MOST_TICKS:
            axes.set_xticks(sorted(values.unique()))
        elif panels > 1:
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0,)))


def ratio_axis(axes: Axes, values: Sequence[float]) -> None:
    """A log y axis for times and speedups, with room around them; unchanged if none is positive."""
    known = np.array([value for value in values if np.isfinite(value) and value > 0])
    if not len(known):
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
