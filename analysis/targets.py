"""When does a trial first reach a target loss, and at what cost in time and bits?"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from desim.analysis.results import sweep_keys

# Round mantissas in order of preference: the first set that gives three to five targets wins.
_MANTISSAS = ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0))
_FEWEST, _MOST = 3, 5


def time_to_target(metrics: pd.DataFrame, targets: ArrayLike) -> pd.DataFrame:
    """Simulated time at which each trial first has a training loss at or below each target.

    Between the two evaluations around the crossing the loss is taken as linear in time.

    Args:
        metrics: from `load`, or a part of it.
        targets: training losses.

    Returns:
        Columns `trial, algorithm, seed`, the sweep keys, `target_loss` and `time_s`, which is NaN
        where the trial never reached the target.
    """
    return _crossings(metrics, targets, "time_s")


def bits_to_target(metrics: pd.DataFrame, targets: ArrayLike) -> pd.DataFrame:
    """Bits sent over all links when each trial first reaches each target; see `time_to_target`.

    Returns:
        The same with `bits_sent` in place of `time_s`.
    """
    return _crossings(metrics, targets, "bits_sent")


def target_grid(metrics: pd.DataFrame, points: int = 60) -> NDArray[np.float64]:
    """Target losses from the loosest to the lowest loss that any trial reached.

    The loosest lies just below the lowest loss that any trial starts from, so that nobody has
    reached it before training. Log-spaced, or evenly if losses are not all positive.

    Args:
        metrics: from `load`, or a part of it.
        points: how many.

    Returns:
        Falling losses, shape (points,); empty if no trial got below its start.
    """
    start, low = _span(metrics)
    if not low < start:
        return np.empty(0)
    space = np.geomspace if low > 0 else np.linspace
    grid = np.asarray(space(start, low, points + 1), dtype=np.float64)[1:]
    grid[-1] = low  # geomspace may miss its end by a rounding, and then nobody reaches it
    return grid


def round_targets(metrics: pd.DataFrame) -> NDArray[np.float64]:
    """Three to five round numbers that span what `target_grid` spans, falling.

    Fewer, or none, if the losses hardly moved.
    """
    start, low = _span(metrics)
    if not low < start:
        return np.empty(0)
    if low > 0:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(start)) + 1)
        for mantissas in _MANTISSAS:
            chosen = _within(low, start, [float(f"{m}e{d}") for d in decades for m in mantissas])
            if _FEWEST <= len(chosen) <= _MOST:
                return chosen
        powers = _within(low, start, [float(f"1e{d}") for d in decades])
        if len(powers) > _MOST:
            places = np.linspace(0, len(powers) - 1, _MOST).round().astype(int)
            return np.take(powers, places)
    ticks = MaxNLocator(nbins=_MOST, steps=[1, 2, 2.5, 5, 10]).tick_values(low, start)
    return _within(low, start, [float(f"{tick:.9g}") for tick in ticks])


def _within(low: float, start: float, numbers: Sequence[float]) -> NDArray[np.float64]:
    """Those that somebody reached and nobody started from, falling."""
    return np.array(sorted({x for x in numbers if low <= x < start}, reverse=True))


def _span(metrics: pd.DataFrame) -> tuple[float, float]:
    """The lowest loss that any trial starts from, and the lowest that any trial reached."""
    finite = metrics[np.isfinite(metrics["train_loss"])]
    if finite.empty:
        return math.nan, math.nan
    # A curve joined of runs begins with the end of the first; what it started from is not in it.
    begins = finite[finite["time_s"] == 0]
    start = (finite if begins.empty else begins).groupby("trial")["train_loss"].first().min()
    return float(start), float(finite["train_loss"].min())


def _crossings(metrics: pd.DataFrame, targets: ArrayLike, column: str) -> pd.DataFrame:
    wanted = np.atleast_1d(np.asarray(targets, dtype=np.float64))
    names = ["trial", "algorithm", "seed", *sweep_keys(metrics)]
    frames = []
    for _, rows in metrics.groupby("trial", sort=False):
        loss = rows["train_loss"].to_numpy(dtype=np.float64)
        value = rows[column].to_numpy(dtype=np.float64)
        shared = {name: rows[name].iloc[0] for name in names}
        frames.append(
            pd.DataFrame({"target_loss": wanted, column: _first_crossing(loss, value, wanted)})
            .assign(**shared)
            .loc[:, [*names, "target_loss", column]]
        )
    return pd.concat(frames, ignore_index=True)


def _first_crossing(
    loss: NDArray[np.float64], value: NDArray[np.float64], targets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`value` where `loss` first is at or below each target; NaN where it never is."""
    lowest = np.minimum.accumulate(np.where(np.isnan(loss), np.inf, loss))
    after = np.searchsorted(-lowest, -targets)  # the first evaluation at or below the target
    reached = after < len(loss)
    after = np.minimum(after, len(loss) - 1)
    before = np.maximum(after - 1, 0)
    # No line can be drawn from a loss that is not finite, nor from before the first evaluation:
    # there the evaluation itself is the crossing.
    drawn = np.isfinite(loss[before]) & (loss[before] > targets)
    above = np.where(drawn, loss[before] - targets, 1.0)
    drop = np.where(drawn, loss[before], 1.0) - np.where(drawn & reached, loss[after], 0.0)
    crossing = value[before] + above / drop * (value[after] - value[before])
    return np.where(reached, crossing, np.nan)
