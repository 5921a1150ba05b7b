"""When a message counts: at the instant of its arrival, neither before nor later."""

from itertools import count
from typing import ClassVar

import pytest
from builders import setting, simulate, speeds

from desim.algorithms.base import Algorithm
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker


class Reader(Algorithm):
    """Worker 0 sends one number, 7, at 0; worker 1 looks at the end of each of its steps."""

    seen: ClassVar[list[tuple[float, bool]]]
    instant: bool = False
    blocking: bool = False

    def worker(self, me: Worker) -> Waiting:
        if me.id == 0 and self.blocking:
            yield from me.send(Message(7, 100))
        elif me.id == 0:
            me.send_when_free(Message(7, 100))
        for _ in count():
            yield from me.compute(me.model, 1)
            if me.id == 1:
                seen = me.newest(instant=self.instant)[0] == 7
                type(self).seen.append((me.now_s, seen))
            me.commit(me.model)


def seen(reader_speed, latency_s, **fields):
    Reader.seen = []
    simulate(
        setting(
            Reader(step_size={"kind": "constant", "alpha": 1.0}, **fields),
            workers=2,
            topology="complete",
            stragglers=speeds(1, reader_speed),
            link={"kind": "dedicated", "bandwidth_bps": 100.0, "latency_s": latency_s},
            stop={"time_s": 4.0},
        )
    )
    return Reader.seen


@pytest.mark.parametrize("blocking", [False, True])
def test_a_message_counts_from_the_instant_of_its_arrival(blocking):
    # 1 s on the wire and 1 s of latency: it arrives at 2, exactly when worker 1 looks.
    assert seen(1, 1.0, blocking=blocking)[:3] == [(1, False), (2, True), (3, True)]


def test_a_message_that_has_left_but_not_arrived_is_not_seen():
    # It has left the wire at 1 and arrives at 2.125.
    assert seen(1, 1.125)[:3] == [(1, False), (2, False), (3, True)]


def test_instant_visibility_needs_no_arrival():
    assert seen(4, 1.0, instant=True)[0] == (0.25, True)


def test_a_gathered_message_ends_the_wait_at_its_arrival():
    # Worker 1 is done at 1, worker 0 at 3; the message of 128 bits takes 0.5 s + 0.25 s.
    trial = simulate(
        setting(
            {"kind": "dsgd", "batch": 3, "barrier": "neighbors"},
            workers=2,
            topology="complete",
            stragglers=speeds(1, 3),
            link={"kind": "dedicated", "bandwidth_bps": 256.0, "latency_s": 0.25},
            stop={"rounds": 1},
        )
    )
    assert trial.rows("compute", 1).end_s.tolist()[0] == 1
    assert trial.spans("wait", 1)[0] == (1.5, 3.75)
    # Worker 0 has its neighbour's message already and goes straight on.
    assert trial.spans("wait", 0) == []
