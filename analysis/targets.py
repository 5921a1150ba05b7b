"""When does a trial first reach a value of a metric, and at what cost in time and bits?

A target is reached at or below it where low values of the metric are good, as of a loss, and at or
above it where high ones are.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from desim.analysis.metrics import aimed, costs
from desim.analysis.results import sweep_keys
from desim.schema.results import Column, ResultsSchema

# Round mantissas in order of preference: the first set that gives three to five targets wins.
_MANTISSAS = ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0))
_FEWEST, _MOST = 3, 5


def time_to_target(
    metrics: pd.DataFrame, schema: ResultsSchema, targets: ArrayLike, metric: str | None = None
) -> pd.DataFrame:
    """Simulated time at which each trial first reaches each target.

    Between the two evaluations around the crossing the metric is taken as linear in time.

    Args:
        metrics: from `load`, or a part of it.
        schema: from `load_schema`.
        targets: values of the metric.
        metric: its name; None for the one that the results are about.

    Returns:
        Columns `trial, algorithm, seed`, the sweep keys, `target` and `time_s`, which is NaN where
        the trial never reached the target.

    Raises:
        ResultsError: a metric that isn't measured here, or has no good direction.
    """
    return _crossings(metrics, schema, targets, metric, "time_s")


def bits_to_target(
    metrics: pd.DataFrame, schema: ResultsSchema, targets: ArrayLike, metric: str | None = None
) -> pd.DataFrame:
    """Bits sent over all links when each trial first reaches each target; see `time_to_target`.

    Returns:
        The same with `bits_sent` in place of `time_s`.
    """
    return _crossings(metrics, schema, targets, metric, "bits_sent")


def target_grid(
    metrics: pd.DataFrame, schema: ResultsSchema, metric: str | None = None, points: int = 60
) -> NDArray[np.float64]:
    """Targets from the easiest to the best value that any trial reached.

    The easiest lies just past the best value that any trial starts from, so that nobody has reached
    it before training. Log-spaced where low values are good and all are positive, else even.

    Args:
        metrics, schema, metric: as for `time_to_target`.
        points: how many.

    Returns:
        Shape (points,), falling where low values are good and rising where high ones are; empty if
        no trial got past its start.
    """
    column = aimed(schema, metric)
    start, best = _span(metrics, column)
    if not _better(best, start, column):
        return np.empty(0)
    space = np.geomspace if column.good == "low" and best > 0 else np.linspace
    grid = np.asarray(space(start, best, points + 1), dtype=np.float64)[1:]
    grid[-1] = best  # geomspace may miss its end by a rounding, and then nobody reaches it
    return grid


def round_targets(
    metrics: pd.DataFrame, schema: ResultsSchema, metric: str | None = None
) -> NDArray[np.float64]:
    """Three to five round numbers that span what `target_grid` spans, the easiest first.

    Fewer, or none, if the values hardly moved.
    """
    column = aimed(schema, metric)
    start, best = _span(metrics, column)
    if not _better(best, start, column):
        return np.empty(0)
    if column.good == "low" and best > 0:
        decades = range(math.floor(math.log10(best)), math.ceil(math.log10(start)) + 1)
        for mantissas in _MANTISSAS:
            numbers = [float(f"{m}e{d}") for d in decades for m in mantissas]
            found = _within(best, start, numbers, column)
            if _FEWEST <= len(found) <= _MOST:
                return found
        powers = _within(best, start, [float(f"1e{d}") for d in decades], column)
        if len(powers) > _MOST:
            places = np.linspace(0, len(powers) - 1, _MOST).round().astype(int)
            return np.take(powers, places)
    return _within(best, start, _ticks(start, best), column)


def _ticks(start: float, best: float) -> list[float]:
    """Evenly spaced round numbers."""
    from matplotlib.ticker import MaxNLocator

    ticks = MaxNLocator(nbins=_MOST, steps=[1, 2, 2.5, 5, 10])
    return [float(f"{tick:.9g}") for tick in ticks.tick_values(*sorted((start, best)))]


def _within(
    best: float, start: float, numbers: Sequence[float], column: Column
) -> NDArray[np.float64]:
    """Those that somebody reached and nobody started from, the easiest first."""
    found = {x for x in numbers if not _better(x, best, column) and _better(x, start, column)}
    return np.array(sorted(found, reverse=column.good == "low"))


def _better(value: float, other: float, column: Column) -> bool:
    return value > other if column.good == "high" else value < other


def _span(metrics: pd.DataFrame, column: Column) -> tuple[float, float]:
    """The best value that any trial starts from, and the best that any trial reached."""
    finite = metrics[np.isfinite(metrics[column.name])]
    if finite.empty:
        return math.nan, math.nan
    # A curve joined of runs begins with the end of the first; what it started from is not in it.
    begins = finite[finite["time_s"] == 0]
    starts = (finite if begins.empty else begins).groupby("trial")[column.name].first()
    if column.good == "high":
        return float(starts.max()), float(finite[column.name].max())
    return float(starts.min()), float(finite[column.name].min())


def _crossings(
    metrics: pd.DataFrame,
    schema: ResultsSchema,
    targets: ArrayLike,
    metric: str | None,
    what: str,
) -> pd.DataFrame:
    column = aimed(schema, metric)
    wanted = np.atleast_1d(np.asarray(targets, dtype=np.float64))
    names = ["trial", "algorithm", "seed", *sweep_keys(metrics, schema)]
    frames = []
    for _, rows in metrics.groupby("trial", sort=False):
        cost = costs(rows[column.name], column)
        value = rows[what].to_numpy(dtype=np.float64)
        aims = -wanted if column.good == "high" else wanted
        shared = {name: rows[name].iloc[0] for name in names}
        frames.append(
            pd.DataFrame({"target": wanted, what: _first_crossing(cost, value, aims)})
            .assign(**shared)
            .loc[:, [*names, "target", what]]
        )
    return pd.concat(frames, ignore_index=True)


def _first_crossing(
    cost: NDArray[np.float64], value: NDArray[np.float64], targets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`value` where `cost` first is at or below each target; NaN where it never is."""
    lowest = np.minimum.accumulate(np.where(np.isnan(cost), np.inf, cost))
    after = np.searchsorted(-lowest, -targets)  # the first evaluation at or below the target
    reached = after < len(cost)
    after = np.minimum(after, len(cost) - 1)
    before = np.maximum(after - 1, 0)
    # No line can be drawn from a value that is not finite, nor from before the first evaluation:
    # there the evaluation itself is the crossing.
    drawn = np.isfinite(cost[before]) & (cost[before] > targets)
    above = np.where(drawn, cost[before] - targets, 1.0)
    drop = np.where(drawn, cost[before], 1.0) - np.where(drawn & reached, cost[after], 0.0)
    crossing = value[before] + above / drop * (value[after] - value[before])
    return np.where(reached, crossing, np.nan)
