"""With memory_bps an average takes the time to read all its models and to write the result."""

import numpy as np
import pytest
from builders import problem, setting, simulate

WORKERS, PARAMETERS, DEGREE = 6, 100, 2
MEMORY_BPS = 32 * PARAMETERS * (DEGREE + 2) / 0.25  # a quarter of a second
MESSAGE = {"kind": "dedicated", "bandwidth_bps": 32.0 * PARAMETERS}  # one second

METHODS = {
    # 5 samples at 1 sample/s, one second of sending: rounds of 6 s, and 0.25 s between two rounds.
    "dsgd": ({"kind": "dsgd", "batch": 5}, 6.0),
    "deadline": ({"kind": "quantimed-dsgd", "deadline_s": 5.0}, 6.0),
    "neighbors": ({"kind": "dsgd", "batch": 5, "barrier": "neighbors"}, 6.0),
    "async": ({"kind": "async-dsgd", "batch": 5}, 6.0),
    # Sending goes on beside the next gradient.
    "overlapped": ({"kind": "async-dsgd", "batch": 5, "sending": "overlapped"}, 5.0),
}


def run(method, memory_bps, rounds=10, **options):
    return simulate(
        setting(
            method,
            workers=WORKERS,
            problem=problem(parameters=PARAMETERS),
            link=MESSAGE,
            memory_bps=memory_bps,
            stop={"rounds": rounds},
        ),
        **options,
    )


@pytest.mark.parametrize(("method", "round_s"), METHODS.values(), ids=METHODS)
def test_each_round_but_the_last_is_that_much_longer(method, round_s):
    assert run(method, None).outcome.time_s == pytest.approx(10 * round_s)
    assert run(method, MEMORY_BPS).outcome.time_s == pytest.approx(10 * round_s + 9 * 0.25)


@pytest.mark.parametrize(("method", "round_s"), METHODS.values(), ids=METHODS)
def test_it_has_intervals_of_its_own_and_nothing_else_happens_in_them(method, round_s):
    rows = run(method, MEMORY_BPS).timeline
    averages = rows[rows["kind"] == "average"]
    np.testing.assert_allclose(averages["end_s"] - averages["start_s"], 0.25)
    assert len(averages) == 10 * WORKERS
    own = rows[rows["kind"].isin(["compute", "average", "wait"])].sort_values(["worker", "start_s"])
    for _, lane in own.groupby("worker"):
        assert (lane["start_s"].to_numpy()[1:] >= lane["end_s"].to_numpy()[:-1] - 1e-9).all()
    # Nothing is sent before the average that it holds has been computed.
    sends = rows[rows["kind"] == "send"]
    for worker, step, start_s in zip(sends["worker"], sends["step"], sends["start_s"], strict=True):
        before = averages[(averages["worker"] == worker) & (averages["step"] < step)]
        assert (before["end_s"] <= start_s + 1e-9).all()


def test_learning_does_not_depend_on_it():
    method = {"kind": "dsgd", "batch": 5}
    free, costly = (run(method, bps, train=True).outcome for bps in (None, MEMORY_BPS))
    assert free.rows[-1].measures.train_loss < free.rows[0].measures.train_loss
    assert [row.measures for row in free.rows] == [row.measures for row in costly.rows]
