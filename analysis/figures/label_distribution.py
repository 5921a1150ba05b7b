"""Figure `label-distribution`: how many samples of each class every worker holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from desim.analysis import style
from desim.analysis.figures.base import Drawing, FigureData, ReportFigure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

#: As many classes have room for their names.
_MOST_NAMES = 20


class LabelDistribution(ReportFigure):
    """Which worker holds how many samples of which class; of classification problems."""

    kind: ClassVar[str] = "label-distribution"
    title: ClassVar[str] = "Label distribution"
    description: ClassVar[str] = (
        "How many training samples of each class every worker holds, darker for more."
    )
    order: ClassVar[int] = 7

    def draw(self, data: FigureData) -> Iterator[Drawing]:
        """That of the first seed, which is the same under every algorithm."""
        from desim.analysis.results import load_labels

        counts = load_labels(data.root, data.trials["trial"].iloc[0])
        if counts is not None:
            yield Drawing(self.kind, label_distribution(counts))


def label_distribution(counts: pd.DataFrame) -> Figure:
    """A heat map, one column per worker and one row per class; darker is more, white is none.

    Args:
        counts: from `load_labels`: one row per worker, one column per class.
    """
    from matplotlib.ticker import MaxNLocator

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
