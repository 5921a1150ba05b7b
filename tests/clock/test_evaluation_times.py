"""When the mean model is evaluated, and what is counted by then."""

import pytest
from builders import setting, simulate, speeds

DSGD = {"kind": "dsgd", "batch": 2}
ASYNC = {"kind": "async-dsgd", "batch": 2}


def rows(method, **changes):
    return simulate(setting(method, **changes)).outcome.rows


def test_every_s_evaluates_at_multiples_whatever_the_workers_do():
    found = rows(DSGD, stop={"time_s": 7.0}, evaluate={"every_s": 1.5})
    assert [row.time_s for row in found] == [0, 1.5, 3, 4.5, 6, 7]
    # Rounds take 2 s; the one that ends at 6 is in.
    assert [row.round for row in found] == [0, 0, 1, 2, 3, 3]


def test_every_s_does_not_drift():
    found = rows(DSGD, stop={"time_s": 50.0}, evaluate={"every_s": 0.1})
    assert [row.time_s for row in found] == pytest.approx([k / 10 for k in range(501)], abs=1e-9)


def test_an_evaluation_at_the_end_is_made_once():
    assert [r.time_s for r in rows(DSGD, stop={"time_s": 4.0}, evaluate={"every_s": 2.0})] == [
        0,
        2,
        4,
    ]
    assert [r.time_s for r in rows(DSGD, stop={"rounds": 2}, evaluate={"every_rounds": 1})] == [
        0,
        2,
        4,
    ]


def test_every_rounds_evaluates_when_the_last_worker_has_done_them():
    found = rows(DSGD, stop={"rounds": 7}, evaluate={"every_rounds": 3})
    assert [(row.time_s, row.round) for row in found] == [(0, 0), (6, 3), (12, 6), (14, 7)]


def test_every_rounds_of_an_asynchronous_method_counts_mean_steps():
    # Worker 0 ends steps at 1, 2, 3, ..., the others at 2.25, 4.5, ...: 3 steps at 2.25, 6 at 4,
    # 9 at 5 (of which four at 2.25 and 4.5).
    found = rows(
        ASYNC,
        stragglers=speeds(2, 2 / 2.25, 2 / 2.25),
        stop={"rounds": 3},
        evaluate={"every_rounds": 1},
    )
    assert [(row.time_s, row.steps) for row in found] == [(0, 0), (2.25, 3), (4, 6), (5, 9)]


def test_bits_count_from_when_they_are_handed_to_the_links():
    # 6 directed links of 128 bits; computed at 2, sent until 3, so rounds of 3 s.
    link = {"kind": "dedicated", "bandwidth_bps": 128.0}
    found = rows(DSGD, link=link, stop={"time_s": 6.5}, evaluate={"every_s": 2.5})
    assert [(row.time_s, row.bits_sent) for row in found] == [
        (0, 0),
        (2.5, 6 * 128),
        (5, 2 * 6 * 128),
        (6.5, 2 * 6 * 128),
    ]


def test_samples_count_when_their_gradient_is_done():
    # Rounds of 2 s with 2 samples a worker; at 3 and at 5 the next gradients are under way.
    found = rows(DSGD, stop={"time_s": 5.0}, evaluate={"every_s": 1.5})
    assert [(row.time_s, row.samples) for row in found] == [
        (0, 0),
        (1.5, 0),
        (3, 6),
        (4.5, 12),
        (5, 12),
    ]


def test_samples_of_a_whole_number_of_rounds_are_whole_batches():
    found = rows(DSGD, stop={"rounds": 4}, evaluate={"every_rounds": 2})
    assert [row.samples for row in found] == [0, 12, 24]


def test_without_training_losses_are_nan_and_counts_are_there():
    last = rows(DSGD)[-1]
    assert last["train_loss"] != last["train_loss"]
    assert (last.steps, last.round) == (9, 3)
