"""Three workers in a triangle with unequal speeds and links, worked out by hand.

A message has 4 parameters of 32 bits: 128 bits. Batches of 6 take worker 0 one second, worker 1 two
and worker 2 three. Seconds on each link, as (on the wire, latency):

    0 -> 1 (1, .5)     1 -> 0 (.5, 0)     2 -> 0 (1, 0)
    0 -> 2 (2, 0)      1 -> 2 (1, 1)      2 -> 1 (.25, .25)

Round 0: computed at 1, 2, 3. Arrivals:
    0 -> 1  1 + 1.5 = 2.5    1 -> 0  2 + .5 = 2.5    2 -> 0  3 + 1  = 4
    0 -> 2  1 + 2   = 3      1 -> 2  2 + 2  = 4      2 -> 1  3 + .5 = 3.5
"""

import pytest
from builders import GivenLinks, setting, simulate, speeds

BITS = 128
SECONDS = {
    (0, 1): (1.0, 0.5),
    (0, 2): (2.0, 0.0),
    (1, 0): (0.5, 0.0),
    (1, 2): (1.0, 1.0),
    (2, 0): (1.0, 0.0),
    (2, 1): (0.25, 0.25),
}
LINKS = GivenLinks(links={ends: (late, BITS / wire) for ends, (wire, late) in SECONDS.items()})
SPEEDS = speeds(6, 3, 2)


def run(barrier, rounds=2):
    method = {"kind": "dsgd", "batch": 6, "barrier": barrier}
    return simulate(setting(method, stragglers=SPEEDS, link=LINKS, stop={"rounds": rounds}))


def test_messages_arrive_after_wire_time_and_latency():
    rows = run("neighbors", rounds=1).rows("receive")
    rows = rows[rows.step == 0]
    passages = {(r.peer, r.worker): (r.start_s, r.end_s) for r in rows.itertuples()}
    assert passages == {
        (0, 1): (1, 2.5),
        (0, 2): (1, 3),
        (1, 0): (2, 2.5),
        (1, 2): (2, 4),
        (2, 0): (3, 4),
        (2, 1): (3, 3.5),
    }


def test_neighbour_barrier_lets_each_worker_go_on_with_its_own_last_message():
    # Last arrivals of round 0: 4, 3.5, 4: so round 1 is computed from there to 5, 5.5, 7.
    # Arrivals of round 1:
    #   0 -> 1  5 + 1.5 = 6.5    1 -> 0  5.5 + .5 = 6      2 -> 0  7 + 1  = 8
    #   0 -> 2  5 + 2   = 7      1 -> 2  5.5 + 2  = 7.5    2 -> 1  7 + .5 = 7.5
    # so that it ends at 8, 7.5 and 7.5, and the run with the last of these.
    trial = run("neighbors")
    assert trial.spans("compute", 0) == [(0, 1), (4, 5)]
    assert trial.spans("compute", 1) == [(0, 2), (3.5, 5.5)]
    assert trial.spans("compute", 2) == [(0, 3), (4, 7)]
    # A worker's own sends take 2, 1 and 1 s after it has computed; it waits from then on.
    assert trial.spans("wait", 0) == [(3, 4), (7, 8)]
    assert trial.spans("wait", 1) == [(3, 3.5), (6.5, 7.5)]
    assert trial.spans("wait", 2) == []
    assert trial.outcome.time_s == 8


def test_global_barrier_ends_the_round_for_all_with_the_last_message():
    # Round 0 ends at 4. Round 1 is computed until 5, 6, 7; its last arrivals are 1 -> 2 at 6 + 2
    # and 2 -> 0 at 7 + 1: it ends at 8.
    trial = run("global")
    assert trial.spans("compute", 0) == [(0, 1), (4, 5)]
    assert trial.spans("compute", 1) == [(0, 2), (4, 6)]
    assert trial.spans("compute", 2) == [(0, 3), (4, 7)]
    assert trial.spans("send", 0) == [(1, 3), (5, 7)]
    assert trial.spans("wait", 0) == [(3, 4), (7, 8)]
    # Worker 1 has its messages at 3.5 and 7.5 and then waits for the others to have theirs.
    assert trial.spans("wait", 1) == [(3, 3.5), (3.5, 4), (7, 7.5), (7.5, 8)]
    assert trial.spans("wait", 2) == []
    assert trial.outcome.time_s == 8


def test_quantimed_computes_for_all_until_the_deadline():
    # T_d = 2 gives batches of 12, 6 and 4. All send at 2; arrivals are at 2.5 and 3 at worker 0, at
    # 3.5 and 2.5 at worker 1, and both at 4 at worker 2.
    method = {"kind": "quantimed-dsgd", "deadline_s": 2.0}
    own = {"barrier": "neighbors"}
    trial = simulate(setting(method | own, stragglers=SPEEDS, link=LINKS, stop={"rounds": 2}))
    assert trial.spans("compute", 0) == [(0, 2), (3, 5)]
    assert trial.spans("compute", 1) == [(0, 2), (3.5, 5.5)]
    assert trial.spans("compute", 2) == [(0, 2), (4, 6)]
    assert [trial.rows("compute", i).samples.tolist()[0] for i in range(3)] == [12, 6, 4]
    trial = simulate(setting(method, stragglers=SPEEDS, link=LINKS, stop={"rounds": 2}))
    assert [trial.spans("compute", i) for i in range(3)] == [[(0, 2), (4, 6)]] * 3


def test_asynchronous_blocking_worker_computes_when_its_own_messages_have_arrived():
    # Worker 0 sends for 2 s (latest arrival 2), worker 1 until 2, worker 2 until 1; then each
    # computes for 1, 2 and 3 s and starts again: periods of 3, 4 and 4 s.
    method = {"kind": "async-dsgd", "batch": 6}
    trial = simulate(setting(method, stragglers=SPEEDS, link=LINKS, stop={"time_s": 8.5}))
    assert trial.spans("compute", 0) == [(2, 3), (5, 6)]
    assert trial.spans("compute", 1) == [(2, 4), (6, 8)]
    assert trial.spans("compute", 2) == [(1, 4), (5, 8)]


@pytest.mark.parametrize("barrier", ["global", "neighbors"])
def test_no_bits_are_lost_or_counted_twice(barrier):
    trial = run(barrier)
    rows = trial.rows("receive")
    assert trial.outcome.rows[-1].bits_sent == rows.bits.sum() == len(rows) * BITS
    assert trial.rows("send").bits.sum() == rows.bits.sum()
