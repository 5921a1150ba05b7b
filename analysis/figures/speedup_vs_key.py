"""Figure `speedup-vs-key`: what a swept number changes in the time to a few targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from desim.analysis import style
from desim.analysis.figures._key_curves import curve_legend, draw_curves, key_axis, ratio_axis
from desim.analysis.figures.base import Drawing, FigureData, Per, ReportFigure
from desim.analysis.style import LineStyle
from desim.schema.results import Column

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_MOST_TARGETS = 3
_TIMES = ("time_s", "time_low_s", "time_high_s", "reached")
_RATIOS = ("speedup", "speedup_low", "speedup_high", "pairs")


class SpeedupVsKey(ReportFigure):
    """Time to a few targets, and the speedup over the baseline, against a swept number."""

    kind: ClassVar[str] = "speedup-vs-key"
    title: ClassVar[str] = "Time to target and speedup against"
    description: ClassVar[str] = (
        "Above, the time to a few targets; below, the speedup over the baseline, each against a "
        "swept value."
    )
    order: ClassVar[int] = 1
    per: ClassVar[Per] = "key"

    def draw(self, data: FigureData) -> Iterator[Drawing]:
        """One figure, where the targets have been reached and the baseline is there."""
        from desim.analysis.comparison import compare

        rows, _ = data.measured()
        if data.targets and data.baseline in set(rows["algorithm"]):
            about = {"metric": data.metric.name, "baseline": data.baseline}
            table = compare(rows, data.schema, data.targets, **about)
            figure = speedup_vs_key(table, data.key, data.styles, data.metric)
            yield Drawing(f"speedup-vs-{data.key}", figure, f"{self.title} {data.key}")


def speedup_vs_key(
    table: pd.DataFrame, key: str, styles: Mapping[str, LineStyle], column: Column
) -> Figure:
    """Time to target (above) and speedup (below) against one swept value, a column per target.

    Where there is but one algorithm, its time to target alone.

    A point is missing where no seed reached the target, and hollow where only some did.

    Args:
        table: from `compare` on a few targets; all its other sweep keys constant.
        key: a numeric sweep key, as a dotted name.
        styles: from `style.line_styles`, of every algorithm.
        column: the metric.
    """
    # A target that no two reached says nothing about a speedup.
    compared = table[(table["algorithm"] != table["baseline"]) & (table["pairs"] > 0)]
    targets = (table if compared.empty else compared)["target"].unique()
    if len(targets) > _MOST_TARGETS:
        targets = targets[np.linspace(0, len(targets) - 1, _MOST_TARGETS).round().astype(int)]
    alone = table["algorithm"].nunique() == 1
    figure = style.new_figure(3.6 if alone else 5.6)
    panels = figure.subplots(
        1 if alone else 2, len(targets), sharex=True, sharey="row", squeeze=False
    )
    for axes, target in zip(panels.T, targets, strict=True):
        rows = table[table["target"] == target]
        for panel, columns in zip(axes, (_TIMES, _RATIOS), strict=False):
            draw_curves(panel, rows, key, styles, columns)
        axes[0].set_title(f"target {target:g}", fontsize="medium")
        key_axis(axes[-1], table, key, len(targets))
    panels[0, 0].set_ylabel("time to target [s]")
    ratio_axis(panels[0, 0], [*table["time_low_s"], *table["time_high_s"]])
    bars = "bars: range over seeds"
    if not alone:
        panels[1, 0].set_ylabel(f"speedup over {table['baseline'].iloc[0]}")
        ratio_axis(panels[1, 0], [*table["speedup"], 1.0])
        bars += " (top), 95 % interval (bottom)"
    several = table["seeds"].max() > 1
    caption = f"targets of the {column.title}; {bars if several else 'one seed'}"
    style.legend_above(figure, curve_legend(table, styles), caption)
    return figure
