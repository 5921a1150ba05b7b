"""Figure `loss-gap-vs-rounds`: how far the training loss is from the smallest that there is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from desim.analysis import style
from desim.analysis.figures.base import Drawing, FigureData, ReportFigure
from desim.analysis.style import LineStyle

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class LossGapVsRounds(ReportFigure):
    """The training loss less the smallest that there is, over rounds: with `evaluate.optimum`."""

    kind: ClassVar[str] = "loss-gap-vs-rounds"
    title: ClassVar[str] = "Distance from the optimal loss over rounds"
    description: ClassVar[str] = (
        "The training loss less the smallest that there is, one falling curve per method, on "
        "logarithmic axes."
    )
    order: ClassVar[int] = 2

    def draw(self, data: FigureData) -> Iterator[Drawing]:
        """One figure, where the optimum is known."""
        from desim.analysis.loss_gaps import convex_deltas, loss_gaps

        trials = data.trials[data.trials["train"]]
        gaps = loss_gaps(data.metrics, trials)
        if len(gaps):
            figure = loss_gap_vs_rounds(gaps, trials, convex_deltas(data.scenario), data.styles)
            yield Drawing(self.kind, figure)


def loss_gap_vs_rounds(
    gaps: pd.DataFrame,
    trials: pd.DataFrame,
    deltas: Mapping[str, float],
    styles: Mapping[str, LineStyle],
) -> Figure:
    """One curve per algorithm on logarithmic axes, with its slope where a theorem speaks of one.

    Of an algorithm with a delta a dotted line of the slope -delta/2 starts at its first point.

    Args:
        gaps: from `loss_gaps`; at least one row.
        trials: from `curves`, of the same point.
        deltas: from `convex_deltas`, by label.
        styles: from `style.line_styles`, of every algorithm.
    """
    from desim.analysis.loss_gaps import slope

    figure = style.new_figure(4.6)
    axes = figure.subplots()
    handles = []
    labels = list(gaps["algorithm"].unique())
    alpha = style.band_alpha(len(labels))
    for place, label in enumerate(labels):
        line, along = styles[str(label)], gaps[gaps["algorithm"] == label]
        band: dict[str, Any] = {"color": line.colour, "alpha": alpha, "lw": 0}
        axes.fill_between(along["round"], along["gap_low"], along["gap_high"], **band)
        every = style.marks(len(along), place, len(labels))
        axes.plot(along["round"], along["gap"], markevery=every, **line.keywords())
        name = str(label)
        if name in deltas and len(along) > 1 and (along["gap"] > 0).all():
            name += f", slope {slope(along):.2f}"
            start = along.iloc[0]
            bound = start["gap"] * (along["round"] / start["round"]) ** (-deltas[str(label)] / 2)
            axes.plot(along["round"], bound, color=line.colour, ls=":", lw=1.2)
        handles.append(style.handle(name, **line.keywords()))
    if deltas:
        dotted: dict[str, Any] = {"color": style.GREY, "ls": ":", "lw": 1.2}
        handles.append(style.handle("slope -delta/2", **dotted))
    axes.set_xscale("log")
    rounds = gaps["round"]
    style.plain_log_ticks(axes.xaxis, float(rounds.min()), float(rounds.max()))
    style.log_axis(axes, "y", gaps[["gap_low", "gap_high"]].to_numpy(dtype=float))
    axes.set_xlabel("rounds")
    axes.set_ylabel("training loss - optimal loss")
    drawn = trials[trials["status"] == "finished"]
    caption = style.seeds_caption(drawn[drawn["algorithm"].isin(labels)])
    style.legend_above(figure, handles, caption + style.left_out(trials))
    return figure
