"""What a metric has come to at one time."""

import numpy as np
import pandas as pd

from desim.schema.results import Column


def values_at(metrics: pd.DataFrame, key: str, time_s: float, column: Column) -> pd.DataFrame:
    """A metric at one time for each algorithm and value of a sweep key.

    Between the two evaluations around that time it is taken as linear in time; before the first one
    it isn't known. A trial that stalled stays at its last value, since nothing changes any more.

    Args:
        metrics: from `curves`; all its other sweep keys constant.
        key: a sweep key.
        time_s: simulated s at which all trials were still going on, or ended.
        column: the metric.

    Returns:
        One row per algorithm and value of the key, with `value, value_low, value_high` (mean, least
        and most over the seeds whose value is known and finite), `reached` (their number) and
        `seeds`.
    """
    rows = []
    for (label, setting), runs in metrics.groupby(["algorithm", key], sort=False):
        ends = (runs[runs["trial"] == name] for name in runs["trial"].unique())
        at = np.array(
            [np.interp(time_s, run["time_s"], run[column.name], left=np.nan) for run in ends]
        )
        sound = at[np.isfinite(at)]
        mean, low, high = np.nan, np.nan, np.nan
        if len(sound):
            mean, low, high = sound.mean(), sound.min(), sound.max()
        values = {"value": mean, "value_low": low, "value_high": high}
        counts = {"reached": len(sound), "seeds": len(at)}
        rows.append({"algorithm": label, key: setting, **values, **counts})
    return pd.DataFrame(rows)


def earliest_end_s(metrics: pd.DataFrame, trials: pd.DataFrame) -> float:
    """When the first of the trials ends; those that diverged or stalled only count if all did.

    Args:
        metrics: from `curves`, or a part of it.
        trials: from `curves`.
    """
    sound = trials.loc[trials["status"] == "finished", "trial"]
    chosen = metrics[metrics["trial"].isin(sound)]
    return float((metrics if chosen.empty else chosen).groupby("trial")["time_s"].max().min())
