"""How far the training loss is from the smallest that there is, and how fast it gets there."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from desim.analysis.horizons import HORIZON
from desim.analysis.means import common_grid
from desim.analysis.results import label_of


def loss_gaps(metrics: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """The training loss less the optimal one, where a trial has one.

    Between two evaluations the gap is taken as linear in the number of rounds. A trial that
    diverged or stalled is left out, and a curve ends where the first of its seeds ends.

    Args:
        metrics, trials: from `curves`.

    Returns:
        One row per algorithm and number of rounds after the start, with `gap`, `gap_low` and
        `gap_high`: mean, least and most over seeds. No rows where no optimum is known.
    """
    known = trials[trials["optimal_loss"].notna() & (trials["status"] == "finished")]
    frames = []
    for label, own in known.groupby("algorithm", sort=False):
        runs = []
        for name, optimum in zip(own["trial"], own["optimal_loss"], strict=True):
            run = metrics[(metrics["trial"] == name) & (metrics["round"] > 0)]
            if len(run):
                runs.append((run["round"].to_numpy(), run["train_loss"].to_numpy() - optimum))
        if runs:
            frames.append(_mean(runs).assign(algorithm=label))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _mean(runs: list[tuple[Any, Any]]) -> pd.DataFrame:
    grid = common_grid([rounds for rounds, _ in runs])
    gaps = np.array([np.interp(grid, rounds, gap) for rounds, gap in runs])
    low, high = gaps.min(0), gaps.max(0)
    return pd.DataFrame({"round": grid, "gap": gaps.mean(0), "gap_low": low, "gap_high": high})


def slope(along: pd.DataFrame) -> float:
    """The exponent of the power of T that fits the gaps best, on logarithmic scales."""
    return float(np.polyfit(np.log(along["round"]), np.log(along["gap"]), 1)[0])


def convex_deltas(scenario: Mapping[str, Any]) -> dict[str, float]:
    """By label, delta of the algorithms that the convex theorem speaks of; none where it is swept.

    With the `convex` step sizes, each T a run of its own, the gap of the average iterate is
    O(T^(-delta/2)).
    """
    sweep = scenario.get("sweep", {})
    averaged = scenario.get("evaluate", {}).get("iterate") == "average"
    if not averaged or HORIZON not in sweep or any(key.startswith("algorithms") for key in sweep):
        return {}
    steps = {label_of(a): a.get("step_size", {}) for a in scenario.get("algorithms", [])}
    deltas = {k: step.get("delta") for k, step in steps.items() if step.get("kind") == "convex"}
    return {k: float(delta) for k, delta in deltas.items() if isinstance(delta, int | float)}
