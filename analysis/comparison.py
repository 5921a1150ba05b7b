"""How much faster is one algorithm than another? A function of the target, with intervals."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from desim.analysis.errors import ResultsError
from desim.analysis.metrics import aimed
from desim.analysis.results import at_point, sweep_keys, sweep_points
from desim.analysis.targets import bits_to_target, target_grid, time_to_target
from desim.schema.phrases import suggest
from desim.schema.results import ResultsSchema

CONFIDENCE = 0.95


def compare(
    metrics: pd.DataFrame,
    schema: ResultsSchema,
    targets: ArrayLike | None = None,
    *,
    metric: str | None = None,
    baseline: str | None = None,
) -> pd.DataFrame:
    """Time to target, bits to target and speedup over the baseline, for each target.

    The speedup is the geometric mean over seeds of (time of the baseline) / (time of the
    algorithm), paired by seed and sweep point: the same seed means the same graph, data and
    stragglers. Its interval is Student's t on the log ratios.

    Only seeds that reached a target can enter its means, so read them with the counts: where
    `pairs < seeds` the missing ones are those that were too slow or diverged.

    Args:
        metrics: from `load`, or a part of it.
        schema: from `load_schema`.
        targets: values of the metric; None for those of `target_grid`.
        metric: its name, such as `test-accuracy`; None for the one that the results are about.
        baseline: label of an algorithm; None for the first in the table, which is the first in
            the scenario.

    Returns:
        One row per sweep point, target and algorithm: the sweep keys, `metric` (its column),
        `target, algorithm, baseline, seeds, reached` (seeds that reached the target), `time_s,
        time_low_s, time_high_s` and `bits, bits_low, bits_high` (mean, least and most over the
        seeds that reached it), `speedup, speedup_low, speedup_high` (95 % interval, NaN with fewer
        than two pairs) and `pairs` (seeds in which both reached it).

    Raises:
        ResultsError: no algorithm has the label `baseline`; a metric that isn't measured here, or
            has no good direction.
    """
    column = aimed(schema, metric)
    labels = list(metrics["algorithm"].unique())
    reference = labels[0] if baseline is None else baseline
    if reference not in labels:
        raise ResultsError(
            f"baseline = {reference!r}: must be an algorithm's label; {suggest(reference, labels)}"
        )
    grid = target_grid(metrics, schema, column.name) if targets is None else targets
    wanted = np.atleast_1d(np.asarray(grid, dtype=float))
    frames = []
    for number, point in enumerate(sweep_points(metrics, sweep_keys(metrics, schema))):
        rows = at_point(metrics, point)
        times = time_to_target(rows, schema, wanted, column.name)
        bits = bits_to_target(rows, schema, wanted, column.name)
        reference_s = _by_seed(times, reference, "time_s", len(wanted))
        for label in rows["algorithm"].unique():
            time_s = _by_seed(times, label, "time_s", len(wanted))
            sent = _by_seed(bits, label, "bits_sent", len(wanted))
            columns = {
                **point,
                "metric": column.name,
                "target": wanted,
                "algorithm": label,
                "baseline": reference,
                "seeds": len(time_s),
                "reached": time_s.notna().sum().to_numpy(),
                "time_s": time_s.mean().to_numpy(),
                "time_low_s": time_s.min().to_numpy(),
                "time_high_s": time_s.max().to_numpy(),
                "bits": sent.mean().to_numpy(),
                "bits_low": sent.min().to_numpy(),
                "bits_high": sent.max().to_numpy(),
                **_speedup(reference_s, time_s),
                "_point": number,
                "_target": np.arange(len(wanted)),
            }
            frames.append(pd.DataFrame(columns))
    # Targets before algorithms within a point: rows to be compared stand together.
    table = pd.concat(frames, ignore_index=True).sort_values(["_point", "_target"], kind="stable")
    return table.drop(columns=["_point", "_target"]).reset_index(drop=True)


def log_ratio_interval(ratios: ArrayLike) -> tuple[float, float, float]:
    """Geometric mean of ratios and its 95 % Student t interval on their logarithms.

    Args:
        ratios: positive, shape (pairs,).

    Returns:
        (mean, low, high); low and high are NaN for a single ratio, all three for none.
    """
    logs = np.log(np.asarray(ratios, dtype=np.float64))
    if not len(logs):
        return np.nan, np.nan, np.nan
    mean = float(logs.mean())
    if len(logs) == 1:
        return float(np.exp(mean)), np.nan, np.nan
    quantile = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(logs) - 1))
    half = quantile * float(logs.std(ddof=1)) / np.sqrt(len(logs))
    return float(np.exp(mean)), float(np.exp(mean - half)), float(np.exp(mean + half))


def _by_seed(long: pd.DataFrame, label: str, column: str, targets: int) -> pd.DataFrame:
    """Seeds as rows, targets by their position as columns."""
    rows = long[long["algorithm"] == label]
    values = {seed: part[column].to_numpy() for seed, part in rows.groupby("seed")}
    return pd.DataFrame.from_dict(values, orient="index", columns=range(targets), dtype=float)


def _speedup(reference_s: pd.DataFrame, time_s: pd.DataFrame) -> dict[str, NDArray[Any]]:
    seeds = reference_s.index.intersection(time_s.index)
    reference, own = reference_s.loc[seeds].to_numpy(), time_s.loc[seeds].to_numpy()
    # A target met before training takes no time at all, and has no ratio.
    usable = (reference > 0) & (own > 0)
    ratios = np.divide(reference, own, where=usable, out=np.ones_like(own))
    rows = [log_ratio_interval(ratios[usable[:, t], t]) for t in range(own.shape[1])]
    means, lows, highs = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    pairs = usable.sum(axis=0)
    return {"speedup": means, "speedup_low": lows, "speedup_high": highs, "pairs": pairs}
