"""Figure `fit`: measured step times and the straggler laws fitted to them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray
from scipy import stats

from desim.analysis import style
from desim.analysis.errors import ResultsError
from desim.analysis.style import Look

_BARS: dict[str, Any] = {"facecolor": "0.85", "edgecolor": "0.65", "linewidth": 0.5}
_DOTS: dict[str, Any] = {"color": "0.1", "ls": "", "marker": ".", "markersize": 3.5, "zorder": 5}

#: Whose colours come first.
_LAWS = (
    "lognormal",
    "shifted-exponential",
    "pareto",
    "exponential",
    "uniform-speed",
    "mixture",
)

#: The fewest and the most bars.
_BINS = (8, 60)

#: In the tail's panel so many measured steps at most are drawn, evenly on its axis.
_MOST_DOTS = 400


def report_fit(folder: str | Path) -> list[Path]:
    """Draws measured step times and the laws fitted to them, into the folder itself.

    Args:
        folder: what `desim fit` wrote.

    Returns:
        The files written: fit.png and fit.svg.

    Raises:
        ResultsError: the folder holds no fit.
    """
    home = Path(folder)
    files = [home / "fit.parquet", home / "slowdowns.parquet"]
    if not all(file.is_file() for file in files):
        raise ResultsError(f"{folder}: holds no fit; pass what `desim fit` wrote")
    laws, slowdowns = (pq.read_table(file).to_pandas() for file in files)
    with style.applied():
        return style.save(fit(laws, slowdowns), home, "fit")


def fit(laws: pd.DataFrame, slowdowns: pd.DataFrame) -> Figure:
    """Left the histogram and the densities, right how often a step takes longer.

    Both axes of time are logarithmic: bars are of equal width there, and a curve's height is the
    density of ln x, x times that of x. The best law is drawn thick; dots are measured steps.

    Args:
        laws: one row per law, the best first: `law` and `table`, its parameters as JSON.
        slowdowns: one row per step: `seconds_per_sample`.
    """
    x = np.sort(slowdowns["seconds_per_sample"].to_numpy(dtype=float))
    tables = {law: json.loads(table) for law, table in zip(laws["law"], laws["table"], strict=True)}
    looks = style.looks(list(dict.fromkeys([*_LAWS, *tables])))  # the same in every figure
    figure = style.new_figure(4.2)
    left, right = figure.subplots(1, 2)
    _densities(left, x, tables, looks)
    _tails(right, x, tables, looks)
    handles = [
        Patch(label="measured", **_BARS),
        Line2D([], [], label="measured step", **_DOTS),
        *(
            Line2D([], [], label=_label(law, n), **_line(looks[law], n))
            for n, law in enumerate(tables)
        ),
    ]
    style.legend_above(figure, handles)
    return figure


def _densities(
    axes: Axes, x: NDArray[np.float64], tables: Mapping[str, Any], looks: Mapping[str, Look]
) -> None:
    z = np.log(x)
    automatic = len(np.histogram_bin_edges(z, "auto")) - 1
    edges = np.linspace(z[0], z[-1], int(np.clip(automatic, *_BINS)) + 1)
    heights = np.histogram(z, edges)[0] / len(z) / np.diff(edges)
    axes.bar(np.exp(edges[:-1]), heights, np.diff(np.exp(edges)), align="edge", **_BARS)
    grid = _grid(x)
    for n, (law, table) in enumerate(tables.items()):
        axes.plot(grid, density(table, grid) * grid, **_line(looks[law], n))
    _time_axis(axes, grid)
    # A wrong law's peak may be many times as high as any bar.
    axes.set_ylim(0, 1.3 * heights.max())
    axes.set_ylabel("density (of the logarithm)")


def _tails(
    axes: Axes, x: NDArray[np.float64], tables: Mapping[str, Any], looks: Mapping[str, Look]
) -> None:
    longer = 1 - np.arange(len(x)) / len(x)
    kept = _spread(longer)
    axes.plot(x[kept], longer[kept], **_DOTS)
    grid = _grid(x)
    for n, (law, table) in enumerate(tables.items()):
        axes.plot(grid, tail(table, grid), **_line(looks[law], n))
    _time_axis(axes, grid)
    axes.set_yscale("log")
    axes.set_ylim(0.4 / len(x), 1.5)
    style.plain_log_ticks(axes.yaxis, 0.4 / len(x), 1.5)
    axes.set_ylabel("share of steps that take longer")


def _grid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where curves are drawn: the ascending x and some way beyond its ends."""
    margin = (x[-1] / x[0]) ** 0.08
    return np.geomspace(x[0] / margin, x[-1] * margin, 800)


def _time_axis(axes: Axes, grid: NDArray[np.float64]) -> None:
    """A log axis with as few numbers as half a figure has room for."""
    axes.set_xscale("log")
    axes.set_xlim(grid[0], grid[-1])
    style.plain_log_ticks(axes.xaxis, grid[0], grid[-1])
    ratio = grid[-1] / grid[0]
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


def _line(look: Look, place: int) -> dict[str, Any]:
    """The best law, at place 0, is thick, solid and on top."""
    best: dict[str, Any] = {"linewidth": 2.6, "linestyle": "-", "zorder": 4}
    other: dict[str, Any] = {"linewidth": 1.3, "linestyle": look.dashes, "zorder": 3}
    return {"color": look.colour, **(other if place else best)}


def _label(law: str, place: int) -> str:
    name = "two lognormals" if law == "mixture" else law
    return name if place else f"{name} (best)"


def density(table: Mapping[str, Any], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The density of 1/V at x under a straggler law.

    Args:
        table: the law's table in a scenario; a kind that `desim fit` fits.
        x: in seconds per sample.

    Returns:
        Shape of x, in 1/s.
    """
    return sum((weight * law.pdf(x) for weight, law in _laws(table)), start=np.zeros_like(x))


def tail(table: Mapping[str, Any], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(1/V > x) under a straggler law; arguments as for `density`."""
    return sum((weight * law.sf(x) for weight, law in _laws(table)), start=np.zeros_like(x))


def _laws(table: Mapping[str, Any]) -> list[tuple[float, Any]]:
    """Weights and scipy's distributions."""
    match table["kind"]:
        case "mixture":
            total = sum(table["weights"])
            parts = zip(table["weights"], table["models"], strict=True)
            return [(w / total, law) for w, part in parts for _, law in _laws(part)]
        case "exponential":
            law = stats.expon(scale=table["mean"])
        case "shifted-exponential":
            law = stats.expon(table["shift"], table["mean"])
        case "lognormal":
            law = stats.lognorm(table["sigma"], scale=np.exp(table["mu"]))
        case "pareto":
            law = stats.pareto(table["index"], scale=table["minimum"])
        case "uniform-speed":  # 1/V has the density of a Pareto law of index 1, cut off
            law = stats.truncpareto(1.0, table["high"] / table["low"], scale=1 / table["high"])
        case kind:
            raise ResultsError(f"law = {kind!r}: must be one that `desim fit` fits")
    return [(1.0, law)]
