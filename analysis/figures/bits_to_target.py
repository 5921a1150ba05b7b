"""Figure `bits-to-target`: how much is sent until each target."""

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
    from matplotlib.figure import Figure


class BitsToTarget(ReportFigure):
    """Bits sent over all links until each target is reached."""

    kind: ClassVar[str] = "bits-to-target"
    title: ClassVar[str] = "Bits to target"
    description: ClassVar[str] = (
        "Bits sent over all links until each target is reached, one curve per method."
    )
    order: ClassVar[int] = 4

    def draw(self, data: FigureData) -> Iterator[Drawing]:
        """One figure, where somebody got past the start."""
        if data.comparison is not None:
            _, trials = data.measured()
            figure = bits_to_target(data.comparison, trials, data.styles, data.metric)
            yield Drawing(self.kind, figure, f"{self.title} against the target {data.metric.title}")


def bits_to_target(
    table: pd.DataFrame, trials: pd.DataFrame, styles: Mapping[str, LineStyle], column: Column
) -> Figure:
    """Bits on all links until each target; arguments and curves as in `speedup_vs_target`."""
    from matplotlib.ticker import EngFormatter

    figure = style.new_figure(4.4)
    axes = figure.subplots()
    draw_curves(axes, table, styles, ("bits", "bits_low", "bits_high", "reached"))
    bits = table["bits"].to_numpy(dtype=float)
    sent = bits[np.isfinite(bits) & (bits > 0)]
    if len(sent):
        axes.set_yscale("log")
        style.plain_log_ticks(axes.yaxis, float(sent.min()), float(sent.max()))
    axes.yaxis.set_major_formatter(EngFormatter())
    axes.set_ylabel("bits to target, all links [bit]")
    target_axis(axes, table, column)
    style.legend_above(figure, curve_legend(table, styles), style.seeds_caption(trials))
    return figure
