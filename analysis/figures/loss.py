"""Figure `loss-vs-time`: training loss against simulated time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from desim.analysis import style
from desim.analysis.style import Look

_MOST_POINTS = 500
# A trial that gave up ends in a mark: a cross where it diverged, a bar where it stalled.
_ENDS = {"diverged": "x", "stalled": "|"}


def loss_vs_time(
    metrics: pd.DataFrame, finished: pd.DataFrame, looks: Mapping[str, Look]
) -> Figure:
    """Mean over seeds with a band from the lowest to the highest.

    The mean runs for as long as all seeds of an algorithm run; a seed that goes on longer goes on
    as a thin line. A seed that diverged or stalled enters no mean: it is a thin line that ends in
    a cross or a bar.

    Args:
        metrics: from `load`, of one sweep point.
        finished: from `trials`, of the same.
        looks: from `style.looks`, of every algorithm.
    """
    figure = style.new_figure(4.4)
    axes = figure.subplots()
    labels = list(metrics["algorithm"].unique())
    gave_up = finished[finished["status"].isin(_ENDS)].set_index("trial")
    tops, bottoms = [], []
    for place, label in enumerate(labels):
        own = metrics[(metrics["algorithm"] == label) & np.isfinite(metrics["train_loss"])]
        tops.append(own.groupby("trial")["train_loss"].first().max())
        sound = own[~own["trial"].isin(gave_up.index)]
        if not sound.empty:
            highest, lowest = _draw_mean(axes, sound, looks[label], place, len(labels))
            tops.append(highest)
            bottoms.append(lowest)
        stalled = own[own["trial"].isin(gave_up.index[gave_up["status"] == "stalled"])]
        if not stalled.empty:
            bottoms.append(float(stalled["train_loss"].min()))
    # A diverged loss may be 1e30; the view belongs to the others.
    top = float(np.nanmax(tops)) if np.isfinite(tops).any() else 1.0
    limits = np.array([min(bottoms, default=top / 10), top])
    for label in labels:
        rows = metrics[(metrics["algorithm"] == label) & metrics["trial"].isin(gave_up.index)]
        for trial, run in rows.groupby("trial"):
            _draw_given_up(axes, run, gave_up.loc[trial], float(limits[1]), looks[label])
    style.loss_axis(axes, "y", limits)
    _leave_room(axes, limits)
    axes.set_xlim(left=0)
    axes.set_xlabel("simulated time [s]")
    axes.set_ylabel("training loss")
    handles = style.curve_handles(looks, labels)
    for kind, end in _ENDS.items():
        if kind in set(gave_up["status"]):
            handles.append(Line2D([], [], color=style.GREY, marker=end, mew=2, lw=0.8, label=kind))
    caption = style.seeds_caption(finished) + style.left_out(finished)
    style.legend_above(figure, handles, caption)
    return figure


def _draw_mean(
    axes: Axes, rows: pd.DataFrame, look: Look, place: int, of: int
) -> tuple[float, float]:
    """Returns the highest and the lowest loss drawn."""
    runs = [
        (run["time_s"].to_numpy(dtype=float), run["train_loss"].to_numpy(dtype=float))
        for _, run in rows.groupby("trial", sort=False)
    ]
    common_s = min(time_s[-1] for time_s, _ in runs)
    grid = common_grid([time_s for time_s, _ in runs])
    losses = np.array([np.interp(grid, time_s, loss) for time_s, loss in runs])
    mean = losses.mean(axis=0)
    if len(runs) > 1:
        low, high = losses.min(axis=0), losses.max(axis=0)
        axes.fill_between(grid, low, high, color=look.colour, alpha=style.band_alpha(of), lw=0)
    axes.plot(grid, mean, markevery=style.marks(len(grid), place, of), **look.line())
    for time_s, loss in runs:
        rest = time_s > common_s
        tail_s = np.concatenate([[common_s], time_s[rest]])
        tail = np.concatenate([[np.interp(common_s, time_s, loss)], loss[rest]])
        axes.plot(tail_s, tail, color=look.colour, linestyle=look.dashes, lw=0.8, alpha=0.7)
    everything = np.concatenate([loss for _, loss in runs])
    return float(everything.max()), float(everything.min())


def common_grid(axes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Where to take the mean of curves: from the last of their beginnings to the first end.

    The points themselves, where they are few: a line between two is then not bent.

    Args:
        axes: of each curve its rising abscissae.
    """
    first, last = max(axis[0] for axis in axes), min(axis[-1] for axis in axes)
    union = np.unique(np.concatenate(axes))
    union = union[(union >= first) & (union <= last)]
    return union if len(union) <= _MOST_POINTS else np.linspace(first, last, _MOST_POINTS)


def _draw_given_up(
    axes: Axes, run: pd.DataFrame, trial: "pd.Series[Any]", top: float, look: Look
) -> None:
    sound = run[np.isfinite(run["train_loss"])]
    loss = np.minimum(sound["train_loss"].to_numpy(dtype=float), top)
    last = loss[-1] if len(loss) else top
    at_s = trial["diverged_at_s"] if trial["status"] == "diverged" else run["time_s"].iloc[-1]
    # Once above the view the line runs along its top, so that it leads to the cross.
    time_s, seen = [*sound["time_s"], at_s], [*loss, last]
    axes.plot(time_s, seen, color=look.colour, linestyle=look.dashes, lw=0.9)
    axes.plot(
        [at_s], [last], color=look.colour, marker=_ENDS[trial["status"]], ms=9, mew=2.2, zorder=5
    )


def _leave_room(axes: Axes, limits: NDArray[np.float64]) -> None:
    low, high = limits
    if low == high:  # nothing happened: matplotlib leaves room of its own
        return
    if axes.get_yscale() == "log":
        room = (high / low) ** 0.05
        axes.set_ylim(low / room, high * room)
    else:
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
