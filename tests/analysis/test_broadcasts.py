"""Sends of one broadcast, told apart by the network, become one again."""

import pandas as pd
import pytest

from analysis.broadcasts import joined


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
