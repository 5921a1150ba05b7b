"""Figure `loss-gap-vs-rounds`: how far the training loss is from the smallest that there is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from desim.analysis import style
from desim.analysis.figures.loss import common_grid
from desim.analysis.horizons import HORIZON
from desim.analysis.results import label_of
from desim.analysis.style import Look


def loss_gaps(metrics: pd.DataFrame, finished: pd.DataFrame) -> pd.DataFrame:
    """The training loss less the optimal one, where a trial has one.

    Between two evaluations the gap is taken as linear in the number of rounds. A trial that
    diverged or stalled is left out, and a curve ends where the first of its seeds ends.

    Args:
        metrics, finished: from `curves`.

    Returns:
        One row per algorithm and number of rounds after the start, with `gap`, `gap_low` and
        `gap_high`: mean, least and most over seeds. No rows where no optimum is known.
    """
    known = finished[finished["optimal_loss"].notna() & (finished["status"] == "finished")]
    frames = []
    for label, trials in known.groupby("algorithm", sort=False):
        runs = []
        for name, optimum in zip(trials["trial"], trials["optimal_loss"], strict=True):
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


def loss_gap_vs_rounds(
    gaps: pd.DataFrame,
    finished: pd.DataFrame,
    described: Mapping[str, Any],
    looks: Mapping[str, Look],
) -> Figure:
    """One curve per algorithm on logarithmic axes, with its slope where a theorem speaks of one.

    With the `convex` step sizes, each T a run of its own, the gap of the average iterate is
    O(T^(-delta/2)): a dotted line of that slope starts at the algorithm's first point.

    Args:
        gaps: from `loss_gaps`; at least one row.
        finished: from `curves`, of the same point.
        described: the scenario.
        looks: from `style.looks`, of every algorithm.
    """
    figure = style.new_figure(4.6)
    axes = figure.subplots()
    deltas = _deltas(described)
    handles = []
    labels = list(gaps["algorithm"].unique())
    alpha = style.band_alpha(len(labels))
    for place, label in enumerate(labels):
        look, along = looks[str(label)], gaps[gaps["algorithm"] == label]
        band: dict[str, Any] = {"color": look.colour, "alpha": alpha, "lw": 0}
        axes.fill_between(along["round"], along["gap_low"], along["gap_high"], **band)
        every = style.marks(len(along), place, len(labels))
        axes.plot(along["round"], along["gap"], markevery=every, **look.line())
        name = str(label)
        if name in deltas and len(along) > 1 and (along["gap"] > 0).all():
            name += f", slope {slope(along):.2f}"
            start = along.iloc[0]
            bound = start["gap"] * (along["round"] / start["round"]) ** (-deltas[str(label)] / 2)
            axes.plot(along["round"], bound, color=look.colour, ls=":", lw=1.2)
        handles.append(Line2D([], [], label=name, **look.line()))
    if deltas:
        dotted: dict[str, Any] = {"color": style.GREY, "ls": ":", "lw": 1.2}
        handles.append(Line2D([], [], label="slope -delta/2", **dotted))
    axes.set_xscale("log")
    rounds = gaps["round"]
    style.plain_log_ticks(axes.xaxis, float(rounds.min()), float(rounds.max()))
    style.loss_axis(axes, "y", gaps[["gap_low", "gap_high"]].to_numpy(dtype=float))
    axes.set_xlabel("rounds")
    axes.set_ylabel("training loss - optimal loss")
    drawn = finished[finished["status"] == "finished"]
    caption = style.seeds_caption(drawn[drawn["algorithm"].isin(labels)])
    style.legend_above(figure, handles, caption + style.left_out(finished))
    return figure


def slope(along: pd.DataFrame) -> float:
    """The exponent of the power of T that fits the gaps best, on logarithmic scales."""
    return float(np.polyfit(np.log(along["round"]), np.log(along["gap"]), 1)[0])


def _deltas(described: Mapping[str, Any]) -> dict[str, float]:
    """By label, of the algorithms that the convex theorem speaks of; none where delta is swept."""
    sweep = described.get("sweep", {})
    averaged = described.get("evaluate", {}).get("iterate") == "average"
    if not averaged or HORIZON not in sweep or any(key.startswith("algorithms") for key in sweep):
        return {}
    steps = {label_of(a): a.get("step_size", {}) for a in described.get("algorithms", [])}
    return {k: float(step["delta"]) for k, step in steps.items() if step.get("kind") == "convex"}
