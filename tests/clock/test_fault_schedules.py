"""Outages: what they answer, and that no schedule of them hangs a trial."""

import numpy as np
import pytest
from faulty import ALL, LINKS, SLOW_MEMORY, assert_conserved, run
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st

from desim.clock.faults import Faults, FaultSchedule, Outages
from desim.streams import Streams

#: Whole seconds too, so that faults meet other things at the same instant.
outages = st.tuples(
    st.one_of(st.floats(0, 60).map(lambda time_s: round(time_s, 9)), st.integers(0, 60).map(float)),
    st.one_of(st.none(), st.floats(0.01, 30), st.integers(1, 30).map(float)),
)


@st.composite
def schedules(draw):
    """Outages of workers and links, some of them for good."""
    table = {"workers": [], "links": [], "model": draw(st.sampled_from(["keep", "reset"]))}
    for worker in draw(st.sets(st.integers(0, 3))):
        down_s, length_s = draw(outages)
        up_s = None if length_s is None else down_s + length_s
        table["workers"].append({"worker": worker, "down_s": down_s, "up_s": up_s})
        if up_s is not None and draw(st.booleans()):
            again = {"worker": worker, "down_s": up_s + 3.0, "up_s": up_s + 10.0}
            table["workers"].append(again)
    for pair in draw(st.sets(st.sampled_from([(0, 1), (1, 2), (2, 3), (0, 3)]))):
        down_s, length_s = draw(outages)
        up_s = None if length_s is None else down_s + length_s
        table["links"].append({"between": list(pair), "down_s": down_s, "up_s": up_s})
    return table


@given_settings(max_examples=200, deadline=None)
@given(
    schedules(),
    st.sampled_from(ALL),
    st.sampled_from(LINKS),
    st.integers(0, 3),
    st.sampled_from([{}, SLOW_MEMORY]),
    st.sampled_from([{}, {"stragglers": "none"}]),
)
def test_no_schedule_of_faults_hangs(faults, method, link, seed, memory, speed):
    stop = {"rounds": 8}
    fields = {"workers": 4, "topology": "ring", "stop": stop, "seed": seed} | memory | speed
    trial = run(method, faults, link=link, **fields)
    assert_conserved(trial, medium=link["kind"] == "shared-medium")
    if trial.outcome.stopped_by == "rounds":
        assert sum(worker.steps for worker in trial.simulation.workers) >= 8 * 4
        return
    # Only what is gone for good, or all workers away at the end, may stop a trial.
    assert trial.outcome.stopped_by == "stalled"
    gone = [o for o in faults["workers"] + faults["links"] if o["up_s"] is None]
    assert gone
    if method.get("absent") == "skip":
        assert sum(o["up_s"] is None for o in faults["workers"]) >= 4


def test_outages_answer_in_any_order():
    found = Outages(iter([(1.0, 2.0), (5.0, 6.0), (9.0, float("inf"))]))
    assert [found.up_s(t) for t in (10.0, 0.0, 1.0, 1.5, 2.0, 5.5, 8.9)] == [
        float("inf"),
        0.0,
        2.0,
        2.0,
        2.0,
        6.0,
        8.9,
    ]
    assert found.between(0.0, 1.0)
    assert not found.between(0.0, 0.9)
    assert found.between(1.5, 1.5)
    assert not found.between(2.0, 4.9)
    assert found.between(2.0, 5.0)
    assert found.between(3.0, 8.0)
    assert list(found) == [(1.0, 2.0), (5.0, 6.0), (9.0, float("inf"))]


def test_random_outages_have_their_means():
    faults = Faults(workers={"mean_up_s": 30.0, "mean_down_s": 3.0})
    plan = FaultSchedule(faults, Streams(0), 1000)
    ups, downs = [], []
    for worker in range(40):
        end_s = 0.0
        for (down_s, up_s), _ in zip(plan.worker(worker), range(100), strict=False):
            ups.append(down_s - end_s)
            downs.append(up_s - down_s)
            end_s = up_s
    # 4,000 exponential times each: the standard error is 1/63 of the mean.
    assert np.mean(ups) == pytest.approx(30.0, rel=5 / 63)
    assert np.mean(downs) == pytest.approx(3.0, rel=5 / 63)
    assert plan.link(1, 2) is plan.link(2, 1)
