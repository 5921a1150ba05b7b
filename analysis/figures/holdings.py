"""Figure `who-holds-what`: how many samples of each class every worker holds."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from desim.analysis import style

#: As many classes have room for their names.
_MOST_NAMES = 20


def who_holds_what(counts: pd.DataFrame) -> Figure:
    """A heat map, one column per worker and one row per class; darker is more, white is none.

    Args:
        counts: from `load_labels`: one row per worker, one column per class.
    """
    figure = style.new_figure(1.2 + 0.24 * min(max(counts.shape[1], 4), 20))
    axes = figure.subplots()
    workers, classes = (np.arange(length + 1) - 0.5 for length in counts.shape)
    # Shades of grey alone: the figure says the same printed in black.
    drawn = axes.pcolormesh(
        workers, classes, counts.to_numpy().T, cmap="Greys", vmin=0, rasterized=True
    )
    axes.invert_yaxis()
    axes.grid(visible=False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    names = [str(name) for name in counts.columns]
    if len(names) <= _MOST_NAMES:
        axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("worker")
    axes.set_ylabel("class")
    figure.colorbar(drawn, label="samples", ticks=MaxNLocator(integer=True))
    return figure
