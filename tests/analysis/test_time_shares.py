import pytest
from fabricated import faulty_rounds

from desim import analysis
from desim.analysis.time_shares import time_shares

KINDS = ("down", "compute", "average", "compress", "send", "wait", "other")


def shares(made):
    (row,) = time_shares(made.folder, analysis.trials(made.folder)).to_dict("records")
    return {kind: row[kind] for kind in KINDS if kind in row}


def only(**some):
    return dict.fromkeys(KINDS, 0.0) | some


def span(kind, start_s, end_s):
    return {"kind": kind, "start_s": start_s, "end_s": end_s}


def rows(*spans, worker=0):
    blank = {"worker": worker, "step": 0, "peer": -1, "bits": 0, "samples": 0}
    return [blank | entry for entry in spans]


def test_barrier_rounds_split_as_computed_by_hand(fabricate):
    made = fabricate("a")
    made.decay("a", 0, 4.0)
    # A round of 4 s of 3 workers: 1 + 2 + 3 s of computing, 3 of sending, 2 + 1 of waiting.
    assert shares(made) == pytest.approx(only(compute=6 / 12, send=3 / 12, wait=3 / 12))


def test_what_overlaps_counts_once_and_computing_comes_first(fabricate):
    made = fabricate("a")
    timeline = rows(
        span("compute", 0.0, 8.0),
        span("send", 4.0, 10.0),  # 4 s of it beside computing
        span("send", 6.0, 11.0),  # and overlapping the one before
        span("average", 8.0, 9.0),  # beside sending
        span("wait", 10.0, 14.0),  # 1 s of it beside sending
    )
    for worker in (1, 2):
        timeline += rows(span("wait", 0.0, 16.0), worker=worker)
    made.decay("a", 0, 4.0, timeline=timeline)
    assert shares(made) == pytest.approx(
        only(compute=8 / 48, send=2 / 48, wait=35 / 48, average=1 / 48, other=2 / 48)
    )


def test_what_goes_on_past_the_end_of_the_trial_is_cut(fabricate):
    made = fabricate("a")
    timeline = [entry for w in range(3) for entry in rows(span("compute", 0.0, 99.0), worker=w)]
    made.decay("a", 0, 4.0, timeline=timeline)
    assert shares(made) == pytest.approx(only(compute=1.0))


def test_who_is_down_does_nothing_else_and_is_no_other(fabricate):
    made = fabricate("a")
    made.decay("a", 0, 4.0, timeline=faulty_rounds())
    # Worker 1 has 1 s of computing, 2 away and 0.5 of compressing instead of a round of 2, 1, 1.
    found = shares(made)
    assert found == pytest.approx(
        only(
            compute=23 / 48,
            send=11 / 48,
            wait=11 / 48,
            down=2 / 48,
            compress=0.5 / 48,
            other=0.5 / 48,
        )
    )
    assert sum(found.values()) == pytest.approx(1)


def test_what_a_worker_that_is_down_still_sends_does_not_count(fabricate):
    made = fabricate("a")
    timeline = rows(span("send", 0.0, 8.0), span("down", 4.0, 16.0), span("compress", 1.0, 2.0))
    for worker in (1, 2):
        timeline += rows(span("down", 0.0, 16.0), worker=worker)
    made.decay("a", 0, 4.0, timeline=timeline)
    assert shares(made) == pytest.approx(only(send=3 / 48, compress=1 / 48, down=44 / 48))


def test_a_trial_that_took_no_time_has_shares_that_sum_to_1(fabricate):
    made = fabricate("a")
    made.trial("a", 0, [0], [2.0], stalled="at 0 s", time_end_s=0.0, timeline=[])
    assert shares(made) == only(other=1.0)


def test_a_server_is_left_out(fabricate):
    made = fabricate("a")
    made.decay("a", 0, 4.0, server=True)
    # A round of 4 s: 1 + 1.5 + 2 s of computing, three times half a second of sending; the answers
    # come at 3, 3.5 and 4 s, and who has one before the end of the round does nothing more.
    assert shares(made) == pytest.approx(
        only(compute=4.5 / 12, send=1.5 / 12, wait=4.5 / 12, other=1.5 / 12)
    )
