"""Figure `round-time-vs-key`: what a swept number changes in the pace of the rounds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from desim.analysis import style
from desim.analysis.figures._key_curves import curve_legend, draw_curves, key_axis, ratio_axis
from desim.analysis.figures.base import Drawing, FigureData, Per, ReportFigure
from desim.analysis.style import LineStyle

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class RoundTimeVsKey(ReportFigure):
    """Simulated time per round against a swept number; of runs of the clock alone."""

    kind: ClassVar[str] = "round-time-vs-key"
    title: ClassVar[str] = "Time per round against"
    description: ClassVar[str] = "Simulated time per round of each method against a swept value."
    order: ClassVar[int] = 3
    per: ClassVar[Per] = "key"

    def draw(self, data: FigureData) -> Iterator[Drawing]:
        """One figure, where nothing was trained."""
        from desim.analysis.summary import round_times

        if not data.trials["train"].any():
            table = round_times(data.metrics, data.schema)
            figure = round_time_vs_key(table, data.key, data.styles)
            yield Drawing(f"round-time-vs-{data.key}", figure, f"{self.title} {data.key}")


def round_time_vs_key(table: pd.DataFrame, key: str, styles: Mapping[str, LineStyle]) -> Figure:
    """Simulated time per round against one swept value.

    Args:
        table: from `round_times`; all its other sweep keys constant.
        key: a numeric sweep key, as a dotted name.
        styles: from `style.line_styles`, of every algorithm.
    """
    figure = style.new_figure(4.4)
    axes = figure.subplots()
    whole = table.assign(reached=table["seeds"])
    draw_curves(axes, whole, key, styles, ("round_s", "round_low_s", "round_high_s", "reached"))
    ratio_axis(axes, table["round_s"])
    key_axis(axes, table, key)
    axes.set_ylabel("time per round [s]")
    caption = "bars: range over seeds" if table["seeds"].max() > 1 else "one seed"
    style.legend_above(figure, curve_legend(whole, styles), caption)
    return figure
