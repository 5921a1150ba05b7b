"""Sending while computing: on a busy link the newest model waits, and older ones are dropped.

Worker 0 ends a step every second and hands its k-th model ("version" k) to a link that needs 2.3 s
for one. Worker 1 needs 3.1 s a step and 0.5 s for a message. So on the link from 0 to 1:

    version 0 is sent at 0, arrives at 2.3; 1 and 2 come meanwhile, 2 takes the place of 1;
    version 2 is sent at 2.3, arrives at 4.6; 3 and 4 come, 4 stays;
    version 4 is sent at 4.6, arrives at 6.9; 5 and 6 come, 6 stays;
    version 6 is sent at 6.9, arrives at 9.2; 7, 8 and 9 come, 9 stays;
    version 9 is sent at 9.2, arrives at 11.5.
"""

from itertools import count
from typing import ClassVar

import numpy as np
import pytest
from builders import GivenLinks, setting, simulate, speeds

from desim.algorithms.base import Algorithm
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker

BITS = 100
LINKS = GivenLinks(links={(0, 1): (0.0, BITS / 2.3), (1, 0): (0.0, BITS / 0.5)})
SPEEDS = speeds(1, 1 / 3.1)


class Versions(Algorithm):
    """Sends version numbers instead of models, and notes which ones it reads."""

    seen: ClassVar[list[tuple[int, float, int]]]
    instant: bool = False

    def worker(self, me: Worker) -> Waiting:
        for version in count():
            me.send_when_free(Message(version, BITS))
            yield from me.compute(me.model, 1)
            newest = me.newest(instant=self.instant).messages[0]
            if isinstance(newest, int):  # the initial model otherwise
                type(self).seen.append((me.id, round(me.now_s, 9), newest))
            me.commit(me.model)


def run(**fields):
    Versions.seen = []
    method = Versions(step_size={"kind": "constant", "alpha": 1.0}, **fields)
    return simulate(
        setting(
            method,
            workers=2,
            topology="complete",
            stragglers=SPEEDS,
            link=LINKS,
            stop={"time_s": 10.5},
            evaluate={"every_s": 1.05},
        )
    )


def test_the_newest_model_takes_the_place_of_one_that_still_waits():
    received = run().rows("receive", 1)
    np.testing.assert_allclose(received.start_s, [0, 2.3, 4.6, 6.9, 9.2], atol=1e-12)
    np.testing.assert_allclose(received.end_s, [2.3, 4.6, 6.9, 9.2, 11.5], atol=1e-12)
    assert received.step.tolist() == [0, 2, 4, 6, 9]
    assert (received.peer == 0).all()


def test_a_link_that_keeps_up_drops_nothing():
    received = run().rows("receive", 0)
    np.testing.assert_allclose(received.start_s, [0, 3.1, 6.2, 9.3], atol=1e-12)
    assert received.step.tolist() == [0, 1, 2, 3]


def test_a_reader_sees_the_newest_version_that_has_arrived():
    run()
    # Worker 1 reads at 3.1, 6.2 and 9.3; versions 0, 2 and 6 are the last to have arrived by then.
    assert [s for s in Versions.seen if s[0] == 1] == [(1, 3.1, 0), (1, 6.2, 2), (1, 9.3, 6)]
    # Worker 0 reads at 1, 2, ..., 10; worker 1's versions arrive at 0.5, 3.6, 6.7 and 9.8.
    seen = [version for worker, _, version in Versions.seen if worker == 0]
    assert seen == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]


def test_an_instant_reader_sees_what_has_been_handed_over_last():
    run(instant=True)
    assert [s for s in Versions.seen if s[0] == 1] == [(1, 3.1, 3), (1, 6.2, 6), (1, 9.3, 9)]


def test_only_what_has_left_is_counted():
    trial = run()
    # Versions leave worker 0 at 0, 2.3, 4.6, 6.9 and 9.2, worker 1 at 0, 3.1, 6.2 and 9.3; nothing
    # has been sent yet when the evaluation at 0 is made.
    leave = np.array([0, 2.3, 4.6, 6.9, 9.2, 0, 3.1, 6.2, 9.3])
    for row in trial.outcome.rows[1:]:
        assert row.bits_sent == BITS * (leave <= row.time_s).sum()
    assert trial.outcome.rows[0].bits_sent == 0
    assert trial.outcome.rows[-1].bits_sent == trial.rows("receive").bits.sum() == 9 * BITS


@pytest.mark.parametrize("sending", ["blocking", "overlapped"])
def test_a_worker_computes_without_pause_only_when_it_need_not_wait_for_its_link(sending):
    method = {"kind": "async-dsgd", "batch": 2, "sending": sending}
    link = {"kind": "dedicated", "bandwidth_bps": 64.0, "latency_s": 1.0}  # 128 bits: 2 s + 1 s
    trial = simulate(setting(method, link=link, stop={"time_s": 10.5}))
    assert (
        trial.spans("compute", 0)
        == {
            "blocking": [(3, 5), (8, 10)],
            "overlapped": [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)],
        }[sending]
    )


def test_a_model_that_waits_on_a_slow_link_leaves_at_once_on_a_fast_one():
    # Worker 0 posts at 0, 1, 2, ...: to worker 1 in 0.5 s, to worker 2 in 2.3 s.
    links = {(i, j): (0.0, BITS / 0.5) for i in range(3) for j in range(3) if i != j}
    links[0, 2] = (0.0, BITS / 2.3)
    Versions.seen = []
    trial = simulate(
        setting(
            Versions(step_size={"kind": "constant", "alpha": 1.0}),
            topology="star",
            stragglers=speeds(1, 0.01, 0.01),
            link=GivenLinks(links=links),
            stop={"time_s": 5.5},
        )
    )
    assert trial.rows("receive", 1).step.tolist() == [0, 1, 2, 3, 4, 5]
    assert trial.rows("receive", 2).step.tolist() == [0, 2, 4]
