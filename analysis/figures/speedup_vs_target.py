"""Figure `speedup-vs-target`: how long each target takes, and how much faster that is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from desim.analysis import style
from desim.analysis.figures._target_curves import curve_legend, draw_curves, target_axis
from desim.analysis.figures.base import Drawing, FigureData, ReportFigure
from desim.analysis.style import LineStyle
from desim.schema.results import Column

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class SpeedupVsTarget(ReportFigure):
    """Time to each target, and the speedup over the baseline with its interval."""

    kind: ClassVar[str] = "speedup-vs-target"
    title: ClassVar[str] = "Time to target and speedup"
    description: ClassVar[str] = (
        "Above, the simulated time until each target is reached; below, how many times faster than "
        "the baseline each method is. The table of times holds some of its points."
    )
    order: ClassVar[int] = 3

    def draw(self, data: FigureData) -> Iterator[Drawing]:
        """One figure, where somebody got past the start."""
        if data.comparison is not None:
            _, trials = data.measured()
            figure = speedup_vs_target(data.comparison, trials, data.styles, data.metric)
            yield Drawing(self.kind, figure, f"{self.title} against the target {data.metric.title}")


def speedup_vs_target(
    table: pd.DataFrame, trials: pd.DataFrame, styles: Mapping[str, LineStyle], column: Column
) -> Figure:
    """Above, the time to each target; below, the speedup over the baseline with its interval.

    Harder targets are to the right. A curve is thin where only some of the seeds reached the
    target and ends where none did.

    Args:
        table: from `compare`, of one sweep point, on a grid of targets.
        trials: from `trials`, of the same.
        styles: from `style.line_styles`, of every algorithm.
        column: the metric.
    """
    figure = style.new_figure(6.4)
    upper, lower = figure.subplots(2, 1, sharex=True)
    draw_curves(upper, table, styles, ("time_s", "time_low_s", "time_high_s", "reached"))
    upper.set_ylabel("time to target [s]")
    upper.set_ylim(bottom=0)
    baseline = table["baseline"].iloc[0]
    others, line = table[table["algorithm"] != baseline], styles[baseline]
    lower.axhline(1, color=line.colour, linestyle=line.dashes, lw=1.4)
    draw_curves(lower, others, styles, ("speedup", "speedup_low", "speedup_high", "pairs"))
    _speedup_axis(lower, others)
    lower.set_ylabel(f"speedup over {baseline}")
    target_axis(lower, table, column)
    caption = style.seeds_caption(trials, speedup=True)
    style.legend_above(figure, curve_legend(table, styles), caption)
    return figure


def _speedup_axis(axes: Axes, rows: pd.DataFrame) -> None:
    """A log scale: twice as fast and half as fast lie equally far from 1."""
    means = rows["speedup"].to_numpy(dtype=float)
    known = np.append(means[np.isfinite(means)], 1.0)
    low, high = float(known.min()) / 1.3, float(known.max()) * 1.3
    axes.set_yscale("log")
    style.plain_log_ticks(axes.yaxis, low, high)
    # An interval from two seeds can be a hundredfold wide; it may leave the panel.
    axes.set_ylim(low, high)
