"""What figures against the target share: the curves, their legend and the axis of targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from desim.analysis import style
from desim.analysis.style import LineStyle
from desim.schema.results import Column

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


def draw_curves(
    axes: Axes, table: pd.DataFrame, styles: Mapping[str, LineStyle], columns: Sequence[str]
) -> None:
    """One curve per algorithm, thin where only some of its seeds count, with a band.

    Args:
        axes: what is drawn on.
        table: from `compare`, of one sweep point, on a grid of targets.
        styles: from `style.line_styles`, of every algorithm.
        columns: of the table: the mean, the lowest, the highest and the number of seeds that count.
    """
    mean, low, high, count = columns
    labels = list(table["algorithm"].unique())
    for place, label in enumerate(labels):
        rows, line = table[table["algorithm"] == label], styles[label]
        target = rows["target"].to_numpy(dtype=float)
        value = rows[mean].to_numpy(dtype=float)
        whole = (rows[count] == rows["seeds"]).to_numpy()
        partly = np.where(_with_neighbours(~whole), value, np.nan)
        axes.plot(target, partly, color=line.colour, linestyle=line.dashes, lw=0.8)
        solid = np.where(whole, value, np.nan)
        marks = [k for k in style.marks(len(target), place, len(labels)) if whole[k]]
        axes.plot(target, solid, markevery=marks, **line.keywords())
        opacity = style.band_alpha(len(labels))
        for where, alpha in ((whole, opacity), (~whole, opacity / 2)):
            band: dict[str, Any] = {"color": line.colour, "alpha": alpha, "lw": 0}
            axes.fill_between(target, rows[low], rows[high], where=where, **band)


def _with_neighbours(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Also true next to a true entry, so that a thin line joins the thick one."""
    wider = mask.copy()
    wider[1:] |= mask[:-1]
    wider[:-1] |= mask[1:]
    return wider


def target_axis(axes: Axes, table: pd.DataFrame, column: Column) -> None:
    """The x axis: targets, the harder ones to the right."""
    targets = table["target"]
    style.metric_axis(axes, "x", targets.to_numpy(dtype=float), column)
    easiest_first = sorted((targets.min(), targets.max()), reverse=column.good == "low")
    axes.set_xlim(*easiest_first)
    axes.set_xlabel(f"target {column.label()} (harder to the right)")


def curve_legend(table: pd.DataFrame, styles: Mapping[str, LineStyle]) -> list[Line2D]:
    """Legend entries of the algorithms, and of thin lines where there are any."""
    handles = style.curve_handles(styles, list(table["algorithm"].unique()))
    if (table["reached"].between(1, table["seeds"] - 1)).any():
        handles.append(style.handle("some seeds only", color=style.GREY, lw=0.8))
    return handles
