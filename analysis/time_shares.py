"""Where the workers' time went: computing, averaging, compressing, sending, waiting, being away."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from desim.analysis.results import load_timeline

# Whoever is away does nothing, whatever its network card still sends; whoever computes and sends
# at once is computing; whoever sends while it waits is sending.
PRIORITY = ("down", "compute", "average", "compress", "send", "wait")
OTHER = "other"
MOST_WORKERS = 1000


def time_shares(folder: str | Path, finished: pd.DataFrame) -> pd.DataFrame:
    """Share of worker time per activity in each trial.

    Overlapping activities count once, in the order down, compute, average, compress, send, wait.
    `down` is the time of a worker that is away. `other` is time that no row of the timeline covers,
    of which desim leaves none. A server's time is left out. Beyond 1,000 workers, 1,000 evenly
    spaced ones stand for all.

    Args:
        folder: what `desim run` wrote.
        finished: from `trials`, or a part of it.

    Returns:
        Columns `trial, algorithm, seed, down, compute, average, compress, send, wait, other`; the
        shares of a trial sum to 1.
    """
    rows = []
    for trial in finished.to_dict("records"):
        count = int(trial["workers"])
        chosen = np.unique(np.linspace(0, count - 1, min(count, MOST_WORKERS)).round().astype(int))
        spans = load_timeline(
            folder,
            trial["trial"],
            kinds=PRIORITY,
            workers=None if len(chosen) == count else chosen,
            until_s=trial["time_s"],
            columns=("worker", "kind", "start_s", "end_s"),
        )
        spent_s = _covered(spans[spans["worker"] < count], trial["time_s"])
        total_s = len(chosen) * trial["time_s"]
        # A trial that could not even begin took no time, and nothing is all that was done.
        shares = dict(zip(PRIORITY, spent_s / (total_s or 1.0), strict=True))
        shares[OTHER] = max(0.0, 1 - sum(shares.values()))
        rows.append({name: trial[name] for name in ("trial", "algorithm", "seed")} | shares)
    return pd.DataFrame(rows)


def _covered(spans: pd.DataFrame, end_s: float) -> NDArray[np.float64]:
    """Seconds, summed over workers, in which each kind is the first of PRIORITY going on."""
    worker = spans["worker"].to_numpy()
    kind = spans["kind"].cat.set_categories(list(PRIORITY)).cat.codes.to_numpy()
    # Starts and ends of everybody in one row, by worker and time: between two neighbours in it
    # the running count of each kind says what its worker is doing.
    who = np.concatenate([worker, worker])
    when = np.concatenate([spans["start_s"], spans["end_s"].clip(upper=end_s)])
    what = np.concatenate([kind, kind])
    change = np.concatenate([np.ones(len(spans)), -np.ones(len(spans))])
    order = np.lexsort((when, who))
    who, when, what, change = who[order], when[order], what[order], change[order]
    length_s = np.diff(when)
    # Between the last event of one worker and the first of the next nothing goes on.
    free = who[1:] == who[:-1]
    spent = np.zeros(len(PRIORITY))
    for code in range(len(PRIORITY)):
        going = np.cumsum(np.where(what == code, change, 0.0))[:-1] > 0
        spent[code] = length_s[free & going].sum()
        free &= ~going
    return spent
