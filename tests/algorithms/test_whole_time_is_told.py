"""Whatever a worker is at when a trial ends stands in the timeline, for every method and end."""

import pytest
from builders import speeds
from test_algorithm_conformance import DRAWN, LINK, LINKS, N, marked, simulate, trial

from desim.analysis.time_shares import PRIORITY, _covered

#: The last worker takes longer for one gradient than the trial lasts.
ONE_SLOW = speeds(50, 50, 50, 50, 50, 0.01)

ENDS = {
    "time": {"stragglers": ONE_SLOW, "stop": {"time_s": 100.0}},
    "rounds": {"stragglers": DRAWN, "stop": {"rounds": 7}},
    "target": {
        "stragglers": DRAWN,
        "stop": {"rounds": 500, "target": {"metric": "train-loss", "value": 0.3}},
        "evaluate": {"every_s": 0.3},
    },
    "stall": {
        "stragglers": DRAWN,
        "stop": {"time_s": 30.0},
        "faults": {"workers": [{"worker": 1, "down_s": 1.0}]},
    },
    "absences": {
        "stragglers": DRAWN,
        "stop": {"time_s": 30.0},
        "faults": {"workers": {"mean_up_s": 3.0, "mean_down_s": 1.0}},
    },
    "charged memory": {
        "stragglers": DRAWN,
        "stop": {"time_s": 30.0},
        "hardware": {"speed_sps": 1.0, "memory_bytes_per_s": 1000.0},
        "charge_memory": True,
    },
}


@pytest.mark.parametrize("case", list(marked()))
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    "link",
    [LINK, *(pytest.param(link, marks=pytest.mark.slow) for link in LINKS)],
    ids=lambda link: link["kind"],
)
def test_shares_of_a_workers_time_add_up_to_one(case, end, link):
    run = simulate(trial(case[1], link=link, **ENDS[end]), train=end == "target")
    end_s, rows = run.outcome.time_s, run.timeline
    assert end != "target" or run.outcome.stopped_by == "target_train_loss"
    spans = rows[(rows.worker < N) & rows.kind.isin(PRIORITY) & (rows.start_s < end_s)]
    told_s = _covered(spans.assign(kind=spans.kind.astype("category")), end_s).sum()
    assert told_s == pytest.approx(N * end_s, rel=1e-9)
    # What a worker still hands over in the instant of the end isn't sent.
    assert run.rows("send").bits.sum() == run.outcome.rows[-1].bits_sent
