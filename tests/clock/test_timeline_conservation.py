"""A worker is always doing exactly one thing: computing, sending or waiting."""

import numpy as np
import pandas as pd
import pytest
from builders import examples, label, setting, simulate

from desim.clock.links.dedicated import Dedicated

RANDOM = {"kind": "uniform-speed", "low": 10.0, "high": 90.0}
EQUAL = Dedicated(bandwidth_bps=1000.0, latency_s=0.1)
UNEQUAL = Dedicated(
    bandwidth_bps={"low": 100.0, "high": 1000.0}, latency_s={"low": 0.0, "high": 0.3}
)
SYNCHRONOUS = [
    {"kind": "dsgd", "batch": 20},
    {"kind": "q-dsgd", "batch": 20, "compressor": {"kind": "low-precision", "levels": 3}},
    {"kind": "quantimed-dsgd", "expected_batch": 20.0},
]
NEIGHBOURS = [method | {"barrier": "neighbors"} for method in SYNCHRONOUS]
ASYNCHRONOUS = [
    {"kind": "async-dsgd", "batch": 20},
    {"kind": "async-dsgd", "batch": 20, "visibility": "instant"},
]
OVERLAPPED = [{"kind": "async-dsgd", "batch": 20, "sending": "overlapped"}]


def run(method, link, **changes):
    fields = {"workers": 8, "topology": {"kind": "random-regular", "degree": 3}}
    fields |= {"stragglers": RANDOM, "link": link, "stop": {"rounds": 30}}
    return simulate(setting(method, **(fields | changes)))


def own(trial, worker):
    """The worker's own intervals, in order; what it receives takes none of its time."""
    rows = trial.timeline[(trial.timeline.worker == worker) & (trial.timeline.kind != "receive")]
    return rows.sort_values(["start_s", "end_s"])


@pytest.mark.parametrize("link", [EQUAL, UNEQUAL], ids=["equal links", "unequal links"])
@pytest.mark.parametrize("method", SYNCHRONOUS, ids=lambda m: m["kind"])
def test_synchronous_workers_do_one_thing_at_a_time_until_the_end(method, link):
    trial = run(method, link)
    for worker in range(8):
        rows = own(trial, worker)
        starts, ends = rows.start_s.to_numpy(), rows.end_s.to_numpy()
        assert starts[0] == 0
        np.testing.assert_allclose(starts[1:], ends[:-1], rtol=0, atol=1e-9)
        assert ends[-1] == pytest.approx(trial.outcome.time_s, abs=1e-9)


@pytest.mark.parametrize("link", [EQUAL, UNEQUAL], ids=["equal links", "unequal links"])
@pytest.mark.parametrize("method", ASYNCHRONOUS, ids=lambda m: m.get("visibility", "received"))
def test_blocking_workers_compute_only_while_nothing_of_theirs_is_on_a_wire(method, link):
    trial = run(method, link)
    for worker in range(8):
        rows = own(trial, worker)
        # Unequal links send side by side; together they are one interval.
        sends = rows[rows.kind == "send"].groupby("step").agg({"start_s": "min", "end_s": "max"})
        others = rows[rows.kind != "send"][["start_s", "end_s"]]
        whole = pd.concat([sends, others]).sort_values("start_s")
        starts, ends = whole.start_s.to_numpy(), whole.end_s.to_numpy()
        assert starts[0] == 0
        np.testing.assert_allclose(starts[1:], ends[:-1], rtol=0, atol=1e-9)
        # A gradient that the end cuts off is not recorded.
        assert trial.outcome.time_s - ends[-1] < 20 / 10 + 1e-9


@pytest.mark.parametrize("method", SYNCHRONOUS + NEIGHBOURS + ASYNCHRONOUS + OVERLAPPED, ids=str)
def test_a_worker_never_stands_idle_and_computes_one_gradient_at_a_time(method):
    trial = run(method, UNEQUAL)
    for worker in range(8):
        rows = own(trial, worker)
        # What no interval covers must be the last, cut-off gradient.
        covered = rows.end_s.cummax().to_numpy()
        assert (rows.start_s.to_numpy()[1:] <= covered[:-1] + 1e-9).all()
        busy = rows[rows.kind != "send"]
        assert (busy.start_s.to_numpy()[1:] >= busy.end_s.to_numpy()[:-1] - 1e-9).all()
        assert (rows.end_s >= rows.start_s).all()


@pytest.mark.parametrize("method", SYNCHRONOUS + NEIGHBOURS + ASYNCHRONOUS + OVERLAPPED, ids=str)
def test_bits_sent_are_the_bits_received(method):
    trial = run(method, UNEQUAL)
    received = trial.rows("receive")
    assert received.bits.sum() == trial.rows("send").bits.sum()
    # The worker that ends the trial still hands over its next message, after the last evaluation.
    counted = received[received.start_s < trial.outcome.time_s]
    assert trial.outcome.rows[-1].bits_sent == counted.bits.sum()
    # Every message has one size, and comes from a neighbour.
    assert received.bits.nunique() == 1
    neighbours = {w.id: set(w.neighbours) for w in trial.simulation.workers}
    assert all(r.peer in neighbours[r.worker] for r in received.itertuples())


@pytest.mark.parametrize("method", SYNCHRONOUS + NEIGHBOURS + ASYNCHRONOUS + OVERLAPPED, ids=str)
@pytest.mark.parametrize(
    "speed", [{"kind": "uniform-speed", "low": 40.0, "high": 40.0}, RANDOM], ids=str
)
def test_a_run_repeats_itself_to_the_last_bit_ties_included(method, speed):
    # With constant speeds and equal links everything happens at the same instants.
    first, second = (run(method, EQUAL, stragglers=speed) for _ in range(2))
    pd.testing.assert_frame_equal(first.timeline, second.timeline, check_exact=True)


@pytest.mark.parametrize("method", [SYNCHRONOUS[1], *NEIGHBOURS[:1], *OVERLAPPED], ids=str)
def test_the_clock_runs_alike_with_and_without_training(method):
    kinds = [run(method, UNEQUAL).timeline]
    fields = {"workers": 8, "topology": {"kind": "random-regular", "degree": 3}}
    fields |= {"stragglers": RANDOM, "link": UNEQUAL, "stop": {"rounds": 30}}
    kinds.append(simulate(setting(method, **fields), train=True).timeline)
    pd.testing.assert_frame_equal(*kinds, check_exact=True)


@pytest.mark.parametrize("model", examples("links"), ids=label)
def test_every_message_of_a_synchronous_round_is_received_once(model):
    trial = run(SYNCHRONOUS[0], model, stop={"rounds": 5})
    received = trial.rows("receive")
    assert len(received) == 5 * 8 * 3
    assert (received.groupby(["worker", "peer", "step"]).size() == 1).all()
