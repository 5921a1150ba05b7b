"""What a timeline shows: which workers, for how long, and when their steps begin."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from desim.analysis.results import load_timeline

#: Rounds of the slowest method that are shown.
ROUNDS = 3
#: Activities that are messages, which arrive or are dropped: marks below their receiver's lane.
MESSAGES = ("receive", "drop")
_MOST_WORKERS, _FEWEST_WORKERS = 6, 3
_LANES = 48  # in all panels together, so that many methods still fit on a page
_MOST_ROUNDS = 60  # of the fastest method, that are told apart over the width of a page


def workers_shown(methods: int) -> int:
    """How many workers to show under each of so many methods."""
    return max(_FEWEST_WORKERS, min(_MOST_WORKERS, _LANES // methods))


def with_server(trial: Mapping[str, Any], workers: Sequence[int]) -> list[int]:
    """These workers of a trial, and the server if there is one, as numbered in its timeline."""
    return [*workers, int(trial["workers"])] if trial["server"] else list(workers)


def window_s(metrics: pd.DataFrame, shown: pd.DataFrame) -> float:
    """Simulated s that `ROUNDS` rounds of the slowest method take on average, if readable."""
    # Who stalled went no further: that time says nothing about its pace, unless there is no other.
    going = shown[shown["status"] != "stalled"]
    drawn = shown if going.empty else going
    last = metrics[metrics["trial"].isin(drawn["trial"])].groupby("trial").last()
    paces = (last["time_s"] / last["round"])[last["round"] > 0]
    if paces.empty:
        return float(shown["time_s"].max()) or 1.0
    # Where methods differ a hundredfold the fast ones would blur; one slow round is then enough.
    readable_s = max(paces.max(), _MOST_ROUNDS * paces.min())
    return float(min(ROUNDS * paces.max(), readable_s))


def spread_by_speed(folder: str | Path, trial: pd.Series, until_s: float, count: int) -> list[int]:
    """Workers from the slowest to the fastest in samples per second, evenly spaced by rank.

    If any are away for a while, so is one of those chosen.
    """
    spans = load_timeline(
        folder,
        trial["trial"],
        kinds=["compute", "down"],
        until_s=until_s,
        columns=("worker", "kind", "start_s", "end_s", "samples"),
    )
    spans["busy_s"] = spans["end_s"] - spans["start_s"]
    away = spans[spans["kind"] == "down"]
    # What a crash or the end cut off has a time but no samples, and says nothing about a speed.
    crashes = pd.MultiIndex.from_frame(away[["worker", "start_s"]])
    cut = pd.MultiIndex.from_frame(spans[["worker", "end_s"]]).isin(crashes)
    cut |= spans["end_s"] >= trial["time_s"]
    whole = (spans["kind"] == "compute") & ~(cut & (spans["samples"] == 0))
    sums = spans[whole].groupby("worker")[["samples", "busy_s"]].sum()
    speed_sps = (sums["samples"] / sums["busy_s"]).reindex(
        sorted(spans["worker"].unique()), fill_value=0.0
    )
    ranked = speed_sps.sort_values(kind="stable").index.to_numpy()
    places = np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int)
    gone = np.flatnonzero(np.isin(ranked, away["worker"]))
    if len(gone) and not np.isin(places, gone).any():
        gaps = np.abs(places[:, None] - gone)
        lane, nearest = np.unravel_index(gaps.argmin(), gaps.shape)
        places[lane] = gone[nearest]
    return [int(ranked[place]) for place in places]


def new_models_s(spans: pd.DataFrame) -> NDArray[np.float64]:
    """When a worker's or a server's steps begin, but the first: it goes on from a new model.

    Args:
        spans: its rows of a timeline.
    """
    work = spans[~spans["kind"].isin((*MESSAGES, "send"))]
    sends = spans[spans["kind"] == "send"]
    computes = spans[spans["kind"] == "compute"]
    # A method that sends first begins its steps with that, and so may a server. Others may number
    # what they send by rounds, which run ahead of the steps where a worker has been away.
    own = pd.concat([work, sends]) if _first(sends) < _first(computes) else work
    begins_s: NDArray[np.float64] = own.groupby("step")["start_s"].min().to_numpy(dtype=float)
    return begins_s[1:]


def _first(rows: pd.DataFrame) -> float:
    return float(rows["start_s"].min()) if len(rows) else np.inf
