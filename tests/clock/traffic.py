"""Messages of small trials, link by link."""

from builders import setting, simulate

METHODS = [
    {"kind": "dsgd", "batch": 5},
    {"kind": "dsgd", "batch": 7, "barrier": "neighbors", "overlap": True},
    {"kind": "quantimed-dsgd", "deadline_s": 3.0},
    {"kind": "async-dsgd", "batch": 4},
    {"kind": "async-dsgd", "batch": 4, "sending": "overlapped"},
]


def run(method, link, **changes):
    fields = {"workers": 4, "stop": {"rounds": 20}, "seed": 3}
    fields |= {"stragglers": {"kind": "uniform-speed", "low": 0.5, "high": 1.5}}
    return simulate(setting(method, link=link, **(fields | changes)))


def transmissions(trial):
    """The messages on each link in the order in which they went out, lost or not."""
    rows = trial.timeline[trial.timeline.kind.isin(["receive", "drop"])]
    rows = rows.sort_values("start_s", kind="stable")
    return dict(iter(rows.groupby(["peer", "worker"])))
