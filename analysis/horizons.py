"""Runs of different lengths as one curve.

The step sizes of a horizon schedule depend on T, the number of rounds of the run, so what a method
can reach by different times is a curve through the *ends* of separate runs, one for each T: a sweep
over `stop.rounds`. Where a step size does not depend on T, the shorter runs are beginnings of the
longest, and that one is the curve; of its own methods `desim run` then runs no other.

A curve of ends begins with the end of the shortest run. A target that is easier than its value
counts as reached then: the runs tell of nothing earlier, and a speedup to it is a lower bound.
"""

from pathlib import Path

import pandas as pd

from desim.analysis.results import load, load_schema, sweep_keys, trials

HORIZON = "stop.rounds"


def curves(folder: str | Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Metrics and trials of a results folder, the runs of a sweep over T joined into one each.

    Args:
        folder: what `desim run` wrote.

    Returns:
        What `load` and `trials` return. With a sweep over `stop.rounds` each algorithm, seed and
        point of the other keys has one trial, named as its longest run: that run's evaluations if
        the others are its beginnings, else the last evaluation of each run, by rising T. It counts
        as diverged where any of its runs did, or else as stalled where any did.

    Raises:
        ResultsError: it is no folder that `desim run` wrote, or holds no finished trial.
    """
    metrics, finished, schema = load(folder), trials(folder), load_schema(folder)
    keys = sweep_keys(finished, schema)
    if HORIZON not in keys or finished[HORIZON].nunique() < 2:
        return metrics, finished
    told_by = ["steps", *(column.name for column in schema.metrics if column.good)]
    alike = ["algorithm", "seed", *(key for key in keys if key != HORIZON)]
    frames, rows = [], []
    # A method that runs for the largest T only must keep its place in the scenario's order.
    by_length = finished.sort_values(HORIZON, ascending=False, kind="stable")
    for _, runs in by_length.groupby(alike, sort=False, dropna=False):
        longest = runs.sort_values(HORIZON).iloc[-1].copy()
        own = [metrics[metrics["trial"] == name] for name in runs.sort_values(HORIZON)["trial"]]
        frames.append(_joined(own, told_by).assign(trial=longest["trial"]))
        if (runs["status"] == "diverged").any():
            first = runs.sort_values("diverged_at_s", kind="stable").iloc[0]
            longest["status"] = "diverged"
            longest["diverged_at_s"], longest["diverged"] = (
                first["diverged_at_s"],
                first["diverged"],
            )
        elif (runs["status"] == "stalled").any():
            longest["status"], longest["stalled"] = "stalled", runs["stalled"].dropna().iloc[0]
        rows.append(longest)
    joined = pd.DataFrame(rows).astype(finished.dtypes)
    return (
        pd.concat(frames, ignore_index=True).drop(columns=HORIZON),
        joined.drop(columns=HORIZON).reset_index(drop=True),
    )


def _joined(runs: list[pd.DataFrame], told_by: list[str]) -> pd.DataFrame:
    """One curve of runs by rising length; whether they are beginnings is told by these columns."""
    *shorter, longest = runs
    # Equal to the last bit: a seed gives the same numbers however long the run is. What is measured
    # nowhere, such as the accuracy of a regression, tells nothing.
    known = longest[told_by].dropna(axis="columns", how="all")
    ends = [run[known.columns].iloc[-1] for run in shorter]
    if all((known == end).all(axis="columns").any() for end in ends):
        return longest
    return pd.concat([run.iloc[-1:] for run in runs])
