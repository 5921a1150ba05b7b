"""Figure `timeline`: a few workers under every method, over its first rounds.

It shows at a glance what the paper's reply to its reviewers draws: under a deadline all workers
stop together and then exchange; asynchronous ones never wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from desim.analysis import style
from desim.analysis.figures.base import Drawing, FigureData, ReportFigure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LANE = 0.62  # height of a bar, in lanes
_APART = 0.35  # between the workers and the server, in lanes
_DOTS = 1000  # as many arrivals as can be told apart there
_MANY_STEPS = 15  # in a lane; their ticks are thinner
# From pale to dark, or hatched, so that they are told apart in grey as well.
BARS: Mapping[str, dict[str, Any]] = {
    "wait": {"facecolor": "0.95", "edgecolor": "0.72", "hatch": "....", "linewidth": 0.5},
    "send": {"facecolor": "#f2c14e", "edgecolor": "#9a6700", "hatch": "//////", "linewidth": 0.5},
    "down": {"facecolor": "0.82", "edgecolor": "0.35", "hatch": "\\\\\\\\", "linewidth": 0.5},
    "compress": {"facecolor": "#a5d3b2", "edgecolor": "#2d6a43", "hatch": "||||", "linewidth": 0.5},
    "average": {"facecolor": "#d98bb9", "edgecolor": "#7a2f5c", "hatch": "xxxx", "linewidth": 0.5},
    "compute": {"facecolor": "#0173b2", "edgecolor": "white", "linewidth": 0.5},
}
#: In the legend only where they are: most clusters do these in no time, and know no faults.
_RARE = ("average", "compress", "down")
_DOT: Mapping[str, Any] = {"color": style.GREY, "ls": "", "marker": ".", "ms": 2.2}
_CROSS: Mapping[str, Any] = {"color": "#c1121f", "ls": "", "marker": "x", "ms": 4, "mew": 1.1}


class Timeline(ReportFigure):
    """A few workers under every method: computing, sending, waiting, over the first rounds."""

    kind: ClassVar[str] = "timeline"
    title: ClassVar[str] = "Timeline of a few workers"
    description: ClassVar[str] = (
        "One lane per worker under each method, and one for its server if it has one, with bars "
        "for computing, sending, waiting and the like. The timeline to zoom, above, shows the same "
        "intervals and more."
    )
    order: ClassVar[int] = 5

    def draw(self, data: FigureData) -> Iterator[Drawing]:
        """One figure, of the first seed."""
        yield Drawing(self.kind, timeline(data.root, data.trials, data.metrics))


def timeline(
    folder: str | Path,
    trials: pd.DataFrame,
    metrics: pd.DataFrame,
    workers: int | None = None,
    until_s: float | None = None,
) -> Figure:
    """One panel per method, one lane per worker, the same time axis for all.

    The workers are the same in every panel, evenly spaced from the slowest to the fastest; below
    them is the server of a method that has one. A dark tick closes a step: the worker, or the
    server, goes on from its new model. Dots under a lane are messages that arrive, crosses ones
    that are dropped on their way to it.

    Args:
        folder: what `desim run` wrote.
        trials: from `trials`, of one sweep point; its first seed is drawn.
        metrics: from `load`, of the same.
        workers: how many to show; None for `workers_shown`.
        until_s: end of the time axis in simulated s; None for three rounds of the method with
            the longest rounds.
    """
    from desim.analysis.broadcasts import joined
    from desim.analysis.results import load_timeline
    from desim.analysis.shown import spread_by_speed, window_s, with_server, workers_shown

    shown = trials.groupby("algorithm", sort=False).head(1)
    end_s = window_s(metrics, shown) if until_s is None else until_s
    count = workers_shown(len(shown)) if workers is None else workers
    chosen = spread_by_speed(folder, shown.iloc[0], end_s, count)
    heights = [len(chosen) + (1 + _APART) * server for server in shown["server"]]  # in lanes
    figure = style.new_figure(0.9 + sum(0.34 + 0.17 * height for height in heights))
    ratios = [height + 0.2 for height in heights]
    panels = np.atleast_1d(figure.subplots(len(shown), 1, sharex=True, height_ratios=ratios))
    kinds: set[str] = set()
    for axes, row, height in zip(panels, shown.to_dict("records"), heights, strict=True):
        nodes = with_server(row, chosen)
        spans = joined(load_timeline(folder, row["trial"], workers=nodes, until_s=end_s))
        kinds |= set(spans["kind"])
        places = [lane + _APART * (lane == len(chosen)) for lane in range(len(nodes))]
        for place, node in zip(places, nodes, strict=True):
            _draw_lane(axes, spans[spans["worker"] == node], place, end_s)
        axes.set_title(row["algorithm"], loc="left", fontsize="medium", pad=3)
        names = [*map(str, chosen), *(["server"] if row["server"] else [])]
        axes.set_yticks(places, names)
        axes.set_ylim(height - 0.4, -0.6)  # the slowest on top
        axes.tick_params(axis="y", length=0, labelsize="small")
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False, axis="y")
        axes.set_axisbelow(True)
    for axes in panels[:-1]:
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="x", length=0)
    panels[-1].set_xlim(0, end_s)
    panels[-1].set_xlabel("simulated time [s]")
    figure.supylabel("worker, from the slowest to the fastest", fontsize="medium")
    style.legend_above(figure, _handles(kinds))
    return figure


def _draw_lane(axes: Axes, spans: pd.DataFrame, lane: float, end_s: float) -> None:
    """The intervals of a worker, the ticks that close its steps, and the messages to it."""
    from desim.analysis.shown import MESSAGES, new_models_s

    top = lane - _LANE / 2
    for order, (kind, bar) in enumerate(BARS.items()):
        rows = spans[spans["kind"] == kind]
        axes.broken_barh(_extents(rows), (top, _LANE), zorder=2 + order, **bar)
    # A worker that does something else while it sends: the sending shows as a strip on that.
    busy = spans[spans["kind"].isin(("compute", "average", "compress", "down"))]
    beside = _common(_extents(busy), _extents(spans[spans["kind"] == "send"]))
    above = 2 + len(BARS)
    strip = (lane + _LANE / 6, _LANE / 3)
    axes.broken_barh(beside, strip, zorder=above, **BARS["send"])
    closed_s = new_models_s(spans)
    ink = 1.8 if len(closed_s) <= _MANY_STEPS else 0.9
    axes.vlines(closed_s, lane - 0.44, lane + 0.40, color="black", lw=ink, zorder=above + 1)
    for kind, mark in zip(MESSAGES, (_DOT, _CROSS), strict=True):
        passed_s = spans.loc[spans["kind"] == kind, "end_s"].to_numpy(dtype=float)
        seen_s = np.unique((passed_s / end_s * _DOTS).round()) * end_s / _DOTS
        level = np.full(len(seen_s), lane + 0.44)
        axes.plot(seen_s, level, zorder=above + 2, **mark)


def _extents(rows: pd.DataFrame) -> list[tuple[float, float]]:
    return list(zip(rows["start_s"], rows["end_s"] - rows["start_s"], strict=True))


def _common(some: list[tuple[float, float]], others: list[tuple[float, float]]) -> list[Any]:
    """Where an interval of some and one of the others go on at once, as (start, length)."""
    pairs = [
        (max(start, begin), min(start + length, begin + width))
        for start, length in some
        for begin, width in others
    ]
    return [(start, end - start) for start, end in dict.fromkeys(pairs) if start < end]


def _handles(kinds: set[str]) -> list[Artist]:
    from matplotlib.patches import Patch

    bars = [
        Patch(label=kind, **bar)
        for kind, bar in reversed(list(BARS.items()))
        if kind in kinds or kind not in _RARE
    ]
    tick: dict[str, Any] = {"color": "black", "ls": "", "marker": "|", "ms": 12, "mew": 1.8}
    marks = [style.handle("new model", **tick), style.handle("arrival", **{**_DOT, "ms": 4})]
    dropped = [style.handle("dropped message", **_CROSS)] if "drop" in kinds else []
    return [*bars, *marks, *dropped]
