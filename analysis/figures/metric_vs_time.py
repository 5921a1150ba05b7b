"""Figure `metric-vs-time`: a metric against simulated time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from desim.analysis import style
from desim.analysis.figures.base import Drawing, FigureData, ReportFigure
from desim.analysis.means import common_grid
from desim.analysis.metrics import costs, in_words, spelled
from desim.analysis.style import LineStyle
from desim.schema.results import Column

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# A trial that gave up ends in a mark: a cross where it diverged, a bar where it stalled.
_ENDS = {"diverged": "x", "stalled": "|"}
#: The one of the standard metrics that is drawn unasked.
_ACCURACY = "test_accuracy"


class MetricVsTime(ReportFigure):
    """A metric over simulated time: the report's own, accuracy, and those that were asked for."""

    kind: ClassVar[str] = "metric-vs-time"
    title: ClassVar[str] = "A metric over simulated time"
    description: ClassVar[str] = "One curve per method; bands are the range over seeds."
    order: ClassVar[int] = 1

    def draw(self, data: FigureData) -> Iterator[Drawing]:
        """One figure for each metric that has a value anywhere, the report's own first."""
        unasked = [c for c in data.schema.metrics if not c.standard or c.name == _ACCURACY]
        for column in dict.fromkeys([data.metric, *unasked]):
            rows, trials = data.measured(column)
            if np.isfinite(rows[column.name].to_numpy(dtype=float)).any():
                figure = metric_vs_time(rows, trials, data.styles, column)
                title = f"{in_words(column)} over simulated time"
                yield Drawing(f"{spelled(column)}-vs-time", figure, title)


def metric_vs_time(
    metrics: pd.DataFrame, trials: pd.DataFrame, styles: Mapping[str, LineStyle], column: Column
) -> Figure:
    """Mean over seeds with a band from the lowest to the highest.

    The mean runs for as long as all seeds of an algorithm run; a seed that goes on longer goes on
    as a thin line. A seed that diverged or stalled enters no mean: it is a thin line that ends in
    a cross or a bar. An algorithm of which the metric is nowhere known is left out.

    Args:
        metrics: from `load`, of one sweep point.
        trials: from `trials`, of the same.
        styles: from `style.line_styles`, of every algorithm.
        column: the metric.
    """
    figure = style.new_figure(4.4)
    axes = figure.subplots()
    known = metrics[np.isfinite(metrics[column.name])]
    labels = list(known["algorithm"].unique())
    gave_up = trials[trials["status"].isin(_ENDS)].set_index("trial")
    limits = _view(known, gave_up, column)
    for place, label in enumerate(labels):
        sound = known[(known["algorithm"] == label) & ~known["trial"].isin(gave_up.index)]
        if not sound.empty:
            marks = (place, len(labels))
            _draw_mean(axes, _curves(sound, column), styles[label], marks)
    for label in labels:
        rows = metrics[(metrics["algorithm"] == label) & metrics["trial"].isin(gave_up.index)]
        for trial, run in rows.groupby("trial"):
            _draw_given_up(axes, run, gave_up.loc[trial], limits, styles[label], column)
    style.metric_axis(axes, "y", limits, column)
    _leave_room(axes, limits)
    axes.set_xlim(left=0)
    axes.set_xlabel("simulated time [s]")
    axes.set_ylabel(column.label())
    handles = style.curve_handles(styles, labels)
    for kind, end in _ENDS.items():
        if kind in set(gave_up["status"]):
            mark: dict[str, Any] = {"color": style.GREY, "marker": end, "mew": 2, "lw": 0.8}
            handles.append(style.handle(kind, **mark))
    caption = style.seeds_caption(trials) + style.left_out(trials)
    style.legend_above(figure, handles, caption)
    return figure


def _view(known: pd.DataFrame, gave_up: pd.DataFrame, column: Column) -> NDArray[np.float64]:
    """The lowest and the highest value shown.

    A diverged loss may be 1e30: of trials that gave up only the beginning counts, and of those that
    stalled the best value. Where neither low nor high is good, nothing is out of bounds.
    """
    rows = known.assign(cost=costs(known[column.name], column))
    status = rows["trial"].map(gave_up["status"])
    sound = rows.loc[status.isna() | (column.good is None), "cost"]
    worst = max(rows.groupby("trial")["cost"].first().max(), sound.max())
    best = min([*sound, *rows.loc[status == "stalled", "cost"]], default=worst / 10)
    sign = -1.0 if column.good == "high" else 1.0
    return np.sort(sign * np.array([best, worst]))


def _curves(rows: pd.DataFrame, column: Column) -> list[tuple[Any, Any]]:
    """Times and values of each trial."""
    return [
        (run["time_s"].to_numpy(dtype=float), run[column.name].to_numpy(dtype=float))
        for _, run in rows.groupby("trial", sort=False)
    ]


def _draw_mean(
    axes: Axes, runs: list[tuple[Any, Any]], line: LineStyle, marks: tuple[int, int]
) -> None:
    """The mean, its band and what goes on longer; `marks` is the curve's place, and of how many."""
    common_s = min(time_s[-1] for time_s, _ in runs)
    grid = common_grid([time_s for time_s, _ in runs])
    values = np.array([np.interp(grid, time_s, value) for time_s, value in runs])
    if len(runs) > 1:
        alpha = style.band_alpha(marks[1])
        low, high = values.min(axis=0), values.max(axis=0)
        axes.fill_between(grid, low, high, color=line.colour, alpha=alpha, lw=0)
    axes.plot(
        grid, values.mean(axis=0), markevery=style.marks(len(grid), *marks), **line.keywords()
    )
    for time_s, value in runs:
        rest = time_s > common_s
        tail_s = np.concatenate([[common_s], time_s[rest]])
        tail = np.concatenate([[np.interp(common_s, time_s, value)], value[rest]])
        axes.plot(tail_s, tail, color=line.colour, linestyle=line.dashes, lw=0.8, alpha=0.7)


def _draw_given_up(
    axes: Axes,
    run: pd.DataFrame,
    trial: pd.Series[Any],
    limits: NDArray[np.float64],
    line: LineStyle,
    column: Column,
) -> None:
    """The line of a trial that diverged or stalled, and the mark at its end."""
    known = run[np.isfinite(run[column.name])]
    values = known[column.name].to_numpy(dtype=float)
    # Once worse than what is shown the line runs along that edge, so that it leads to the cross.
    low, high = limits
    seen = np.maximum(values, low) if column.good == "high" else np.minimum(values, high)
    last = seen[-1] if len(seen) else low if column.good == "high" else high
    at_s = trial["diverged_at_s"] if trial["status"] == "diverged" else run["time_s"].iloc[-1]
    shared: dict[str, Any] = {"color": line.colour, "linestyle": line.dashes}
    axes.plot([*known["time_s"], at_s], [*seen, last], lw=0.9, **shared)
    end = _ENDS[trial["status"]]
    axes.plot([at_s], [last], color=line.colour, marker=end, ms=9, mew=2.2, zorder=5)


def _leave_room(axes: Axes, limits: NDArray[np.float64]) -> None:
    low, high = limits
    if low == high:  # nothing happened: matplotlib leaves room of its own
        return
    if axes.get_yscale() == "log":
        room = (high / low) ** 0.05
        axes.set_ylim(low / room, high * room)
    else:
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
