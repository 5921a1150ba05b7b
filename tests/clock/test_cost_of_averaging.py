"""With charge_memory an average takes the time to read its models and to write the result."""

import numpy as np
import pytest
from builders import problem, setting, simulate

WORKERS, PARAMETERS, DEGREE = 6, 100, 2
MEMORY = 4 * PARAMETERS * (DEGREE + 2) / 0.25  # bytes/s: a quarter of a second
MESSAGE = {"kind": "dedicated", "bandwidth_bps": 32.0 * PARAMETERS}  # one second

METHODS = {
    # 5 samples at 1 sample/s and one second of sending: rounds of 6 s without averaging.
    "dsgd": ({"kind": "dsgd", "batch": 5}, 6.0),
    "deadline": ({"kind": "quantimed-dsgd", "deadline_s": 5.0}, 6.0),
    "neighbors": ({"kind": "dsgd", "batch": 5, "barrier": "neighbors"}, 6.0),
    "async": ({"kind": "async-dsgd", "batch": 5}, 6.0),
    # Sending goes on beside the next gradient.
    "overlapped": ({"kind": "async-dsgd", "batch": 5, "sending": "overlapped"}, 5.0),
}


def run(method, memory, rounds=10, train=False, **changes):
    fields = {"workers": WORKERS, "problem": problem(parameters=PARAMETERS), "link": MESSAGE}
    fields |= {"stop": {"rounds": rounds}, "charge_memory": memory is not None}
    fields |= {"hardware": {"speed_sps": 1.0, "memory_bytes_per_s": memory or 1.0}}
    return simulate(setting(method, **(fields | changes)), train=train)


@pytest.mark.parametrize(("method", "round_s"), METHODS.values(), ids=METHODS)
def test_each_round_is_that_much_longer(method, round_s):
    assert run(method, None).outcome.time_s == pytest.approx(10 * round_s)
    assert run(method, MEMORY).outcome.time_s == pytest.approx(10 * (round_s + 0.25))


@pytest.mark.parametrize(("method", "round_s"), METHODS.values(), ids=METHODS)
def test_a_model_is_there_when_its_average_has_ended(method, round_s):
    rows = run(method, MEMORY, rounds=1, evaluate={"every_rounds": 1}).outcome.rows
    assert [row.time_s for row in rows] == pytest.approx([0, round_s + 0.25])


UNEVEN = {
    "stragglers": {"kind": "uniform-speed", "low": 1.0, "high": 9.0},
    "topology": {"kind": "erdos-renyi", "p": 0.5},
    "link": {
        "kind": "dedicated",
        "bandwidth_bps": {"low": 1000.0, "high": 10_000.0},
        "latency_s": {"low": 0.0, "high": 0.3},
    },
}


@pytest.mark.parametrize("changes", [{}, UNEVEN], ids=["equal", "uneven and slow links"])
@pytest.mark.parametrize("method", [method for method, _ in METHODS.values()], ids=METHODS)
def test_it_has_intervals_of_its_own_and_nothing_else_happens_in_them(method, changes):
    trial = run(method, MEMORY / 4, rounds=20, **changes)
    rows, workers = trial.timeline, trial.simulation.workers
    steps = np.array([worker.steps for worker in workers])
    cut_off = rows["step"] == steps[rows["worker"]]  # by the end of the trial
    averages = rows[(rows["kind"] == "average") & ~cut_off]
    assert averages.groupby("worker").size().tolist() == [worker.steps for worker in workers]
    degrees = np.array([len(worker.neighbours) for worker in workers])[averages["worker"]]
    np.testing.assert_allclose(averages["end_s"] - averages["start_s"], (degrees + 2) / 4)
    own = rows[rows["kind"].isin(["compute", "average", "wait"])].sort_values(["worker", "start_s"])
    for _, lane in own.groupby("worker"):
        assert (lane["start_s"].to_numpy()[1:] >= lane["end_s"].to_numpy()[:-1] - 1e-9).all()


@pytest.mark.parametrize("changes", [{}, UNEVEN], ids=["equal", "uneven and slow links"])
@pytest.mark.parametrize("method", [method for method, _ in METHODS.values()], ids=METHODS)
def test_no_model_is_sent_before_it_has_been_computed_or_after_a_newer_one(method, changes):
    rows = run(method, MEMORY / 4, rounds=20, **changes).timeline
    averages = rows[rows["kind"] == "average"].set_index(["worker", "step"])["end_s"]
    messages = rows[rows["kind"] == "receive"].sort_values(["peer", "worker", "start_s"])
    assert len(messages) > 100
    for _, link in messages.groupby(["peer", "worker"]):
        assert (np.diff(link["step"]) > 0).all()
    # What is sent in a step holds the average of the step before.
    for sender, step, start_s in zip(
        messages["peer"], messages["step"], messages["start_s"], strict=True
    ):
        if step > 0:
            assert averages[sender, step - 1] <= start_s + 1e-9


def test_learning_does_not_depend_on_it():
    method = {"kind": "dsgd", "batch": 5}
    free, costly = (run(method, bps, train=True).outcome for bps in (None, MEMORY))
    assert free.rows[-1]["train_loss"] < free.rows[0]["train_loss"]
    assert [row["train_loss"] for row in free.rows] == [row["train_loss"] for row in costly.rows]


def test_compressing_takes_the_time_to_read_the_model_and_to_write_the_message():
    # 100 numbers of 4 bytes, and 100 of 4 bits behind a norm of 32 bits: 454 bytes.
    compressor = {"kind": "low-precision", "levels": 7}
    method = {"kind": "q-dsgd", "batch": 5, "compressor": compressor}
    trial = run(method, MEMORY)
    compressing = trial.rows("compress")
    assert len(compressing) == 10 * WORKERS
    bits = trial.rows("receive").bits.iloc[0]
    np.testing.assert_allclose(
        compressing.end_s - compressing.start_s, (4 * PARAMETERS + bits / 8) / MEMORY
    )
    # It comes after the gradient and before the message leaves.
    sent = trial.rows("send", 0).start_s.to_numpy()
    np.testing.assert_allclose(sent[:10], trial.rows("compress", 0).end_s)
    assert len(run({"kind": "dsgd", "batch": 5}, MEMORY).rows("compress")) == 0
