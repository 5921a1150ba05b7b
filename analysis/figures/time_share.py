"""Figure `time-share`: where the workers' time went under each method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from desim.analysis import style
from desim.analysis.figures.base import Drawing, FigureData, ReportFigure
from desim.analysis.figures.timeline import BARS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: The columns of `time_shares` in the order of the bars. `other` is time not told: none.
_ORDER = ("compute", "average", "compress", "send", "wait", "down", "other")
_OTHER_BAR: dict[str, Any] = {"facecolor": "white", "edgecolor": "0.5", "linewidth": 0.5}


class TimeShare(ReportFigure):
    """How much of the workers' time went into computing, sending, waiting and the like."""

    kind: ClassVar[str] = "time-share"
    title: ClassVar[str] = "Where the workers' time went"
    description: ClassVar[str] = (
        "One bar per method, divided into computing, sending, waiting and the like; a server's "
        "time is left out."
    )
    order: ClassVar[int] = 6

    def draw(self, data: FigureData) -> Iterator[Drawing]:
        """The shares of each algorithm, mean over its seeds."""
        from desim.analysis.time_shares import time_shares

        served = bool(data.trials["server"].any())
        yield Drawing(self.kind, time_share(time_shares(data.root, data.trials), served=served))


def time_share(shares: pd.DataFrame, *, served: bool = False) -> Figure:
    """One bar per algorithm, percent of worker time, mean over seeds.

    Args:
        shares: from `time_shares`, of one sweep point.
        served: whether any of them has a server, whose time isn't in it: the caption says so.
    """
    from matplotlib.patches import Patch

    means = shares.groupby("algorithm", sort=False)[[*_ORDER]].mean() * 100
    figure = style.new_figure(1.5 + 0.45 * len(means))
    axes = figure.subplots()
    handles = []
    left = np.zeros(len(means))
    for kind in _ORDER:
        if means[kind].max() < 0.05:
            continue
        bar = BARS.get(kind, _OTHER_BAR)
        axes.barh(means.index, means[kind], left=left, height=0.68, zorder=2, **bar)
        for place, (start, share) in enumerate(zip(left, means[kind], strict=True)):
            if share >= 7:  # a number needs that much room
                ink: dict[str, Any] = (
                    {"color": "white"} if kind == "compute" else {"color": "black"}
                )
                box = None if kind == "compute" else {"fc": "white", "ec": "none", "pad": 1.5}
                middle = start + share / 2
                axes.text(middle, place, f"{share:.0f}", ha="center", va="center", bbox=box, **ink)
        handles.append(Patch(label="not told" if kind == "other" else kind, **bar))
        left = left + means[kind].to_numpy()
    axes.set_ylim(len(means) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of worker time [%]")
    axes.set_ylabel("algorithm")
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    style.legend_above(figure, handles, "the server's time is left out" if served else "")
    return figure
