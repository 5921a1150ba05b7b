"""Figure `fit`: measured step times and the straggler laws fitted to them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from desim.analysis import style
from desim.analysis.figures.base import Drawing, FigureData, Per, ReportFigure
from desim.analysis.style import LineStyle
from desim.schema.results import FolderKind

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BARS: dict[str, Any] = {"facecolor": "0.85", "edgecolor": "0.65", "linewidth": 0.5}
_DOTS: dict[str, Any] = {"color": "0.1", "ls": "", "marker": ".", "markersize": 3.5, "zorder": 5}

#: The fewest and the most bars.
_BINS = (8, 60)

#: In the tail's panel so many measured steps at most are drawn, evenly on its axis.
_MOST_DOTS = 400


@dataclass(frozen=True)
class Curve:
    """One law in the figure.

    Attributes:
        label: its name in the legend.
        line: keywords of `Axes.plot`.
        rows: `seconds_per_sample`, `density` and `tail`.
    """

    label: str
    line: dict[str, Any]
    rows: pd.DataFrame


class Fit(ReportFigure):
    """Measured step times with the straggler laws fitted to them: densities and tails."""

    kind: ClassVar[str] = "fit"
    title: ClassVar[str] = "Measured step times and fitted straggler laws"
    description: ClassVar[str] = (
        "Left, the histogram of the measured times with the density of each law; right, how often "
        "a step takes longer than a time."
    )
    order: ClassVar[int] = 1
    per: ClassVar[Per] = "folder"
    of: ClassVar[FolderKind] = "fit"

    def draw(self, data: FigureData) -> Iterator[Drawing]:
        """The densities and the tails of all fitted laws, from the folder's tables."""
        from desim.analysis.fits import load_fit

        yield Drawing(self.kind, fit(*load_fit(data.root)))


def fit(laws: pd.DataFrame, slowdowns: pd.DataFrame, curves: pd.DataFrame) -> Figure:
    """Left the histogram and the densities, right how often a step takes longer.

    Both axes of time are logarithmic: bars are of equal width there, and a curve's height is the
    density of ln x, x times that of x. The best law is drawn thick; dots are measured steps.

    Args:
        laws: one row per law, the best first: `law`, `place`, a whole number that gives its colour,
            and `table`, its parameters as JSON.
        slowdowns: one row per step: `seconds_per_sample`.
        curves: for every law rows by ascending `seconds_per_sample`: `law`, `density`, `tail`.
    """
    from matplotlib.patches import Patch

    x = np.sort(slowdowns["seconds_per_sample"].to_numpy(dtype=float))
    of_law = dict(list(curves.groupby("law")))
    places = laws["place"].tolist()
    styles = style.line_styles([str(place) for place in range(max(places) + 1)])
    drawn = [
        Curve(_label(row.law, row.table, n), _line(styles[str(row.place)], n), of_law[row.law])
        for n, row in enumerate(laws.itertuples())
    ]
    figure = style.new_figure(4.2)
    left, right = figure.subplots(1, 2)
    _densities(left, x, drawn)
    _tails(right, x, drawn)
    handles = [
        Patch(label="measured", **_BARS),
        style.handle("measured step", **_DOTS),
        *(style.handle(curve.label, **curve.line) for curve in drawn),
    ]
    style.legend_above(figure, handles)
    return figure


def _densities(axes: Axes, x: NDArray[np.float64], curves: Sequence[Curve]) -> None:
    z = np.log(x)
    automatic = len(np.histogram_bin_edges(z, "auto")) - 1
    edges = np.linspace(z[0], z[-1], int(np.clip(automatic, *_BINS)) + 1)
    heights = np.histogram(z, edges)[0] / len(z) / np.diff(edges)
    axes.bar(np.exp(edges[:-1]), heights, np.diff(np.exp(edges)), align="edge", **_BARS)
    for curve in curves:
        times = curve.rows["seconds_per_sample"]
        axes.plot(times, curve.rows["density"] * times, **curve.line)
    _time_axis(axes, curves)
    # A wrong law's peak may be many times as high as any bar.
    axes.set_ylim(0, 1.3 * heights.max())
    axes.set_ylabel("density (of the logarithm)")


def _tails(axes: Axes, x: NDArray[np.float64], curves: Sequence[Curve]) -> None:
    longer = 1 - np.arange(len(x)) / len(x)
    kept = _spread(longer)
    axes.plot(x[kept], longer[kept], **_DOTS)
    for curve in curves:
        axes.plot(curve.rows["seconds_per_sample"], curve.rows["tail"], **curve.line)
    _time_axis(axes, curves)
    axes.set_yscale("log")
    axes.set_ylim(0.4 / len(x), 1.5)
    style.plain_log_ticks(axes.yaxis, 0.4 / len(x), 1.5)
    axes.set_ylabel("share of steps that take longer")


def _time_axis(axes: Axes, curves: Sequence[Curve]) -> None:
    """A log axis as wide as the curves, with as few numbers as half a figure has room for."""
    from matplotlib.ticker import LogLocator, MaxNLocator

    times = curves[0].rows["seconds_per_sample"]
    low, high = times.min(), times.max()
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    style.plain_log_ticks(axes.xaxis, low, high)
    ratio = high / low
    if ratio < 2.5:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=3))
    elif ratio > 8:
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if ratio < 200 else (1.0,)))
    axes.set_xlabel("seconds per sample")


def _spread(longer: NDArray[np.float64]) -> NDArray[np.int64]:
    """Places of points that lie evenly on a log axis, the last ones all."""
    wanted = np.geomspace(longer[-1], 1, _MOST_DOTS)
    places = len(longer) - np.round(wanted * len(longer)).astype(np.int64)
    return np.unique(places)


def _line(own: LineStyle, place: int) -> dict[str, Any]:
    """The best law, at place 0, is thick, solid and on top."""
    best: dict[str, Any] = {"linewidth": 2.6, "linestyle": "-", "zorder": 4}
    other: dict[str, Any] = {"linewidth": 1.3, "linestyle": own.dashes, "zorder": 3}
    return {"color": own.colour, **(other if place else best)}


def _label(law: str, table: str, place: int) -> str:
    """The law's kind, or the kinds that it is a mixture of."""
    models = json.loads(table)["models"] if law == "mixture" else []
    counts = Counter(model["kind"] for model in models)
    parts = [kind if count == 1 else f"{count} x {kind}" for kind, count in counts.items()]
    name = " + ".join(parts) or law
    return name if place else f"{name} (best)"
