"""Figure `metric-vs-key`: what a swept number changes in the metric at one time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from desim.analysis import style
from desim.analysis.figures._key_curves import curve_legend, draw_curves, key_axis
from desim.analysis.figures.base import Drawing, FigureData, Per, ReportFigure
from desim.analysis.metrics import in_words, spelled
from desim.analysis.style import LineStyle
from desim.schema.results import Column

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class MetricVsKey(ReportFigure):
    """The metric that each algorithm has reached when the first trial ends, by a swept number."""

    kind: ClassVar[str] = "metric-vs-key"
    title: ClassVar[str] = "A metric at one time against a swept value"
    description: ClassVar[str] = (
        "What each method has reached when the first trial ends, against a swept value."
    )
    order: ClassVar[int] = 2
    per: ClassVar[Per] = "key"

    def draw(self, data: FigureData) -> Iterator[Drawing]:
        """One figure, where the metric was measured."""
        from desim.analysis.at_time import earliest_end_s, values_at

        rows, trials = data.measured()
        if len(rows):
            time_s = earliest_end_s(rows, trials)
            table = values_at(rows, data.key, time_s, data.metric)
            figure = metric_vs_key(table, data.key, time_s, data.styles, data.metric)
            title = f"{in_words(data.metric)} at one time against {data.key}"
            yield Drawing(f"{spelled(data.metric)}-vs-{data.key}", figure, title)


def metric_vs_key(
    table: pd.DataFrame, key: str, time_s: float, styles: Mapping[str, LineStyle], column: Column
) -> Figure:
    """A metric at one time against one swept value; hollow where only some seeds have one.

    Args:
        table: from `values_at`.
        key: a numeric sweep key, as a dotted name.
        time_s: the time, in simulated s.
        styles: from `style.line_styles`, of every algorithm.
        column: the metric.
    """
    figure = style.new_figure(4.4)
    axes = figure.subplots()
    draw_curves(axes, table, key, styles, ("value", "value_low", "value_high", "reached"))
    known = table[["value_low", "value_high"]].to_numpy(dtype=float)
    style.metric_axis(axes, "y", known, column)
    key_axis(axes, table, key)
    unit = f" [{column.unit}]" if column.unit else ""
    axes.set_ylabel(f"{column.title} at {time_s:.4g} s{unit}")
    caption = "bars: range over seeds" if table["seeds"].max() > 1 else "one seed"
    style.legend_above(figure, curve_legend(table, styles), caption)
    return figure
