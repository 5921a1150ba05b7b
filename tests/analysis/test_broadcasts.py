"""Sends of one broadcast, told apart by the network, become one again; so do waits."""

import pandas as pd
import pytest

from desim.analysis.broadcasts import joined


def rows(*sends):
    columns = ["worker", "kind", "start_s", "end_s", "step", "bits"]
    return pd.DataFrame(
        [(w, "send", float(a), float(b), step, bits) for w, a, b, step, bits in sends],
        columns=columns,
    )


def spans(frame):
    names = ["worker", "start_s", "end_s", "step", "bits"]
    return list(frame[names].itertuples(index=False, name=None))


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_what_overlaps_or_touches_in_a_step_is_one_with_all_its_bits(order):
    frame = rows((0, 0, 4, 3, 10), (0, 1, 2, 3, 20), (0, 4, 5, 3, 30)).iloc[order]
    assert spans(joined(frame)) == [(0, 0, 5, 3, 60)]


def test_other_steps_other_workers_and_what_is_sent_again_stay_apart():
    apart = rows((0, 0, 2, 3, 10), (0, 3, 4, 3, 10), (0, 1, 2, 4, 10), (1, 0, 2, 3, 10))
    assert sorted(spans(joined(apart))) == sorted(spans(apart))


def test_other_kinds_are_left_alone():
    frame = rows((0, 0, 2, 0, 10), (0, 0, 2, 0, 10)).assign(kind=["compute", "receive"])
    pd.testing.assert_frame_equal(joined(frame), frame, check_dtype=False)


def test_messages_to_single_neighbours_are_one_where_they_leave_without_a_break():
    """A ring all-reduce: each worker sends a chunk, and the next one as soon as one has come."""
    chunks = [(0, 1, 3, 7, 10), (0, 2, 4, 7, 11), (0, 4, 5, 7, 10), (0, 6, 7, 7, 10)]
    assert spans(joined(rows(*chunks))) == [(0, 1, 5, 7, 31), (0, 6, 7, 7, 10)]


def test_who_wakes_up_and_goes_on_waiting_has_one_wait():
    frame = rows((3, 0, 1, 4, 0), (3, 1, 2, 4, 0), (3, 2, 5, 5, 0), (3, 6, 7, 5, 0))
    frame["kind"] = pd.Categorical(["wait"] * 4, ["compute", "wait"])
    found = joined(frame)
    assert spans(found) == [(3, 0, 2, 4, 0), (3, 2, 5, 5, 0), (3, 6, 7, 5, 0)]
    assert found["kind"].tolist() == ["wait"] * 3


def test_sends_and_waits_that_touch_are_not_one():
    frame = rows((0, 0, 1, 4, 10), (0, 1, 2, 4, 0)).assign(kind=["send", "wait"])
    assert sorted(spans(joined(frame))) == [(0, 0, 1, 4, 10), (0, 1, 2, 4, 0)]
