"""What all figures share: colours, lines, legends, axes and files.

Colours are seaborn's colour-blind palette (Okabe and Ito's), from the eleventh algorithm on darker
and from the twenty-first on paler; every algorithm also has its own dashes or its own marker, so
that a figure reads in grey and at half the width of a page.

matplotlib and seaborn are loaded when something is drawn, so that figures can be listed without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from desim.schema.results import Column

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

WIDTH_IN = 6.4
DPI = 200
GREY = "0.35"

_DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.2, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (9, 2)),
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
# What the palette's colours are mixed with when all are taken, and how much of that.
_SHADES = ((0.0, 0.0), (0.0, 0.45), (1.0, 0.5))
_BAND_ALPHA, _FEW_BANDS = 0.18, 8
_LEGEND_IN = 0.8  # of a figure's height is the legend's: three rows


@dataclass(frozen=True)
class LineStyle:
    """How one algorithm is drawn, in every figure.

    Attributes:
        colour: red, green and blue, each from 0 to 1.
        dashes, marker: as `Axes.plot` takes them.
    """

    colour: tuple[float, float, float]
    dashes: Any
    marker: str

    def keywords(self) -> dict[str, Any]:
        """Keywords of `Axes.plot` for its curve."""
        return {"color": self.colour, "linestyle": self.dashes, "marker": self.marker}


def line_styles(algorithms: Sequence[str]) -> dict[str, LineStyle]:
    """One per algorithm, by its place in the scenario; the first thirty differ."""
    import seaborn as sns

    palette = np.array(sns.color_palette("colorblind", 10))
    found = {}
    for n, label in enumerate(algorithms):
        turn, place = divmod(n, len(palette))
        target, share = _SHADES[turn % len(_SHADES)]
        red, green, blue = (palette[place] * (1 - share) + target * share).tolist()
        # Markers move on by 7, or a colour and its darker one would have the same; by most other
        # numbers, two of thirty would have the same dashes and the same marker.
        marker = _MARKERS[(n + 7 * turn) % len(_MARKERS)]
        found[label] = LineStyle((red, green, blue), _DASHES[n % len(_DASHES)], marker)
    return found


def band_alpha(curves: int) -> float:
    """How opaque the band of one of so many curves is: many would hide each other."""
    return _BAND_ALPHA * min(1.0, _FEW_BANDS / curves)


@contextmanager
def applied() -> Iterator[None]:
    """Draws and saves in this style, and leaves matplotlib's settings as they were."""
    import matplotlib
    import seaborn as sns

    settings = {
        **sns.axes_style("ticks"),
        **sns.plotting_context("notebook", font_scale=1.0),
        "axes.grid": True,
        "text.parse_math": False,  # a label may hold dollar signs
        "axes.spines.right": False,
        "axes.spines.top": False,
        "grid.color": "0.9",
        "grid.linewidth": 0.7,
        "hatch.linewidth": 0.8,
        "legend.fontsize": 11,
        "legend.frameon": False,
        "legend.title_fontsize": 10,
        "lines.linewidth": 1.8,
        "lines.markersize": 5.5,
        "svg.hashsalt": "desim",  # else every file would have other ids
    }
    with matplotlib.rc_context(settings):
        yield


def new_figure(height_in: float) -> Figure:
    """An empty figure as wide as all others, bound to no window system."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH_IN, height_in), layout="constrained")


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Writes `name.png` and `name.svg`; the same figure gives the same bytes.

    Args:
        figure: drawn inside `applied()`.
        folder: exists.
        name: without an ending; may hold dots.
    """
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    with applied():
        figure.savefig(png, dpi=DPI)
        figure.savefig(svg, metadata={"Date": None})
    return [png, svg]


def legend_above(figure: Figure, handles: Sequence[Any], title: str = "") -> None:
    """A legend above the axes, where it covers no curve; a long one makes the figure higher."""
    for columns in range(len(handles), 0, -1):
        legend = figure.legend(
            handles=list(handles),
            loc="outside upper center",
            ncols=columns,
            title=title or None,
            handlelength=2.8,
            columnspacing=1.0,
        )
        extent = legend.get_window_extent()
        if columns == 1 or extent.width <= figure.bbox.width:
            more_in = max(0.0, extent.height / figure.dpi - _LEGEND_IN)
            figure.set_figheight(figure.get_figheight() + more_in)
            return
        legend.remove()


def handle(label: str, **line: Any) -> Line2D:
    """A legend entry: a line, or a marker, with keywords of `Axes.plot`."""
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, **line)


def curve_handles(styles: Mapping[str, LineStyle], algorithms: Sequence[str]) -> list[Line2D]:
    """Legend entries of the given algorithms."""
    return [handle(label, **styles[label].keywords()) for label in algorithms]


def seeds_caption(finished: pd.DataFrame, speedup: bool = False) -> str:
    """What a line and a band are, from the number of seeds per algorithm."""
    counts = finished.groupby("algorithm")["seed"].nunique()
    fewest, most = int(counts.min()), int(counts.max())
    if most == 1:
        return "one seed"
    seeds = f"{most} seeds" if fewest == most else f"{fewest} to {most} seeds"
    if speedup:
        return f"mean of {seeds}; band: range over seeds (top), 95 % interval (bottom)"
    return f"mean of {seeds}; band: range over seeds"


def left_out(finished: pd.DataFrame) -> str:
    """What a caption adds where trials that diverged or stalled enter no mean."""
    kinds = [f"the {kind}" for kind in ("diverged", "stalled") if kind in set(finished["status"])]
    return f", without {' and '.join(kinds)}" if kinds else ""


def marks(count: int, place: int, of: int) -> list[int]:
    """Which points of a curve carry its marker: about seven, and never those of another curve."""
    if count <= 8:
        return list(range(count))
    step = count / 7
    return [int((k + (place + 0.5) / of) * step) for k in range(7)]


def metric_axis(axes: Axes, which: str, values: NDArray[np.float64], column: Column) -> None:
    """A log scale with plain numbers where low values are good and all are positive, as of a loss.

    Args:
        axes: what is drawn on.
        which: "x" or "y".
        values: what the axis shows; those that aren't finite don't count.
        column: the metric that they are values of.
    """
    if column.good == "low":
        log_axis(axes, which, values)


def log_axis(axes: Axes, which: str, values: NDArray[np.float64]) -> None:
    """A log scale with plain numbers; a linear one if values are not all positive."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    finite = values[np.isfinite(values)]
    if not len(finite) or finite.min() <= 0:
        return
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    plain_log_ticks(axis, float(finite.min()), float(finite.max()))


def plain_log_ticks(axis: Axis, low: float, high: float) -> None:
    """Ticks at 0.5, 1, 2 rather than at powers of ten alone: losses rarely span many decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    ratio = high / low
    if ratio < 2.5:
        axis.set_major_locator(MaxNLocator(nbins=6))
    else:
        subs = (1.0,) if ratio > 3000 else (1.0, 2.0, 5.0) if ratio > 8 else (1.0, 1.5, 2, 3, 5, 7)
        axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(_tick))
    axis.set_minor_locator(NullLocator())


def _tick(value: float, _: int | None = None) -> str:
    from matplotlib.ticker import EngFormatter

    return f"{value:g}" if abs(value) < 1e5 else str(EngFormatter(sep="")(value))
