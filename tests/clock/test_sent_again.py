"""Lost messages are sent again: when, and who waits for it."""

from itertools import count

import pytest
from builders import setting, simulate, speeds
from traffic import run, transmissions

from desim.algorithms.base import Algorithm
from desim.clock import eventful
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker


@pytest.fixture
def lose(monkeypatch):
    """Says by link which messages are lost: 'x.x' is the first and the third of it."""

    def fates(**links):
        def drawn(streams, source, target, purpose):
            assert purpose == 3
            yield from (0.0 if fate == "x" else 1.0 for fate in links.get(f"_{source}{target}", ""))
            while True:
                yield 1.0

        monkeypatch.setattr(eventful, "draws", drawn)

    return fates


#: One second for each message of 128 bits, and a quarter on its way.
LINK = {"kind": "dedicated", "bandwidth_bps": 128.0, "latency_s": 0.25, "loss": 0.5}


class Sender(Algorithm):
    """Worker 0 sends at given times to all who gather its messages, worker 1 alone."""

    times: list[float]

    def worker(self, me: Worker) -> Waiting:
        if me.id == 0:
            for tag, now in zip(count(), self.times, strict=False):
                yield from me.compute_until(me.model, now - me.now_s)
                me.broadcast(Message(me.model, 128), tag)
        yield from me.compute(me.model, 10**6)


def sent(*times, kind="dedicated", **link):
    """(start, end) of the messages that arrive, by their number, and of those that are lost."""
    if kind != "dedicated":
        link = {"bandwidth_bps": None, "up_bps": 128.0} | link
    link = {k: v for k, v in (LINK | {"kind": kind} | link).items() if v is not None}
    trial = simulate(
        setting(
            Sender(times=list(times), step_size={"kind": "constant", "alpha": 1.0}),
            workers=2,
            topology="complete",
            link=link,
            stop={"time_s": 1000.0},
        )
    )
    return tuple(
        [(row.step, row.start_s, row.end_s) for row in trial.rows(rows).itertuples()]
        for rows in ("receive", "drop")
    )


@pytest.mark.parametrize("kind", ["dedicated", "fifo"])
def test_a_message_is_sent_again_so_long_after_its_last_bit_has_left(kind, lose):
    lose(_01="xx")
    got, lost = sent(2.0, kind=kind, resend_after_s=3.0)
    # On the wire from 2 to 3, from 6 to 7 and from 10 to 11.
    assert lost == [(0, 2.0, 3.25), (0, 6.0, 7.25)]
    assert got == [(0, 10.0, 11.25)]


def test_a_flow_is_sent_again_so_long_after_it_has_ended(lose):
    lose(_01="xx")
    got, lost = sent(2.0, kind="fair", resend_after_s=3.0)
    # The latency lies before the first bit.
    assert lost == [(0, 2.0, 3.25), (0, 6.25, 7.5)]
    assert got == [(0, 10.5, 11.75)]


def test_left_out_it_is_sent_again_after_a_second(lose):
    lose(_01="x")
    assert sent(2.0)[0] == [(0, 4.0, 5.25)]


def test_jitter_delays_the_arrival_but_not_what_is_sent_again(lose):
    lose(_01="x")
    got, lost = sent(2.0, jitter_s=5.0)
    assert lost[0][2] > 3.25
    assert got[0][1] == 4.0
    assert got[0][2] >= max(5.25, lost[0][2])


def test_a_message_that_will_be_sent_again_blocks_nothing(lose):
    lose(_01="x")
    # The first is lost and sent again at 4: at once, or after the one that is on the wire then.
    got, _ = sent(0.0, 2.0, resend_after_s=3.0)
    assert got == [(1, 2.0, 3.25), (0, 4.0, 5.25)]
    got, _ = sent(0.0, 2.0, 3.5, resend_after_s=3.0)
    assert got == [(1, 2.0, 3.25), (2, 3.5, 4.75), (0, 4.5, 5.75)]


def test_gathering_waits_for_what_is_sent_again(lose):
    # Gradients of 5 s; what worker 0 sends to worker 1 is lost twice.
    lose(_01="xx")
    link = LINK | {"resend_after_s": 2.0}
    method = {"kind": "dsgd", "batch": 5, "barrier": "neighbors"}
    trial = simulate(setting(method, workers=4, link=link, stop={"time_s": 30.0}))
    # On the wire from 5, 8 and 11 on.
    assert trial.spans("compute", 1)[:2] == [(0, 5), (12.25, 17.25)]
    assert trial.spans("wait", 1)[0] == (5, 12.25)
    # Its other neighbour doesn't notice before the next round, worker 3 not before the one after.
    assert [trial.spans("compute", worker)[1][0] for worker in (0, 2, 3)] == [6.25] * 3
    assert trial.spans("compute", 2)[2][0] == 17.25 + 1.25
    assert trial.spans("compute", 3)[2][0] == 12.5


def test_who_skips_does_not_wait_for_it(lose):
    lose(_01="xx")
    method = {"kind": "dsgd", "batch": 5, "barrier": "neighbors"}
    trial = simulate(
        setting(
            method | {"absent": "skip", "timeout_s": 3.0},
            workers=2,
            topology="complete",
            link=LINK | {"resend_after_s": 2.0},
            stop={"rounds": 2},
        )
    )
    assert trial.spans("compute", 1) == [(0, 5), (8, 13)]
    assert trial.spans("compute", 0) == [(0, 5), (6.25, 11.25)]


def asynchronous(sending, batch, lost="", *, stop=20.0, evaluate=None, **link):
    """Two workers; what worker 0 sends is lost as said. One sample a second for worker 0."""
    method = {"kind": "async-dsgd", "batch": batch, "sending": sending}
    trial = simulate(
        setting(
            method,
            workers=2,
            topology="complete",
            stragglers=speeds(1.0, 1.0),
            link=LINK | link,
            stop={"time_s": stop},
            evaluate=evaluate,
        )
    )
    rows = transmissions(trial)[0, 1]
    return trial, [(r.step, r.start_s, r.kind == "drop") for r in rows.itertuples()]


def test_a_blocking_send_waits_for_what_is_sent_again(lose):
    lose(_01="x")
    trial, passed = asynchronous("blocking", 5, resend_after_s=2.0)
    assert passed[:3] == [(0, 0.0, True), (0, 3.0, False), (1, 9.25, False)]
    assert trial.spans("compute", 0)[0] == (4.25, 9.25)
    assert trial.spans("compute", 1)[0] == (1.25, 6.25)


@pytest.mark.parametrize(
    ("resend_after_s", "again"),
    [
        # A model every 2 s, on the wire for 1 s. The second is lost, and might be sent again ...
        (0.5, [(1, 3.5, False), (2, 4.5, False), (3, 6.0, False)]),  # ... before the third is there
        (1.25, [(2, 4.0, False), (3, 6.0, False)]),  # ... while the third is on the wire
        (2.5, [(2, 4.0, False), (3, 6.0, False)]),  # ... when the third has arrived.
    ],
)
def test_an_old_model_is_not_sent_again_once_there_is_a_newer_one(resend_after_s, again, lose):
    lose(_01=".x")
    trial, passed = asynchronous("overlapped", 2, resend_after_s=resend_after_s)
    assert passed[: 2 + len(again)] == [(0, 0.0, False), (1, 2.0, True), *again]
    network = trial.simulation.network
    assert network.given_up == (len(again) == 2)
    assert network.handed_over == network.delivered + network.given_up


def test_a_model_that_has_waited_is_sent_again_in_time(lose):
    # A step of a second and then long ones; a message takes 2 s. The second model waits from 1 to
    # 2, is lost, and is sent again a second after it has left: at 5.
    lose(_01=".x")
    for every_s in (0.25, 1e6):
        trial = simulate(
            setting(
                {"kind": "async-dsgd", "batch": 1, "sending": "overlapped"},
                workers=2,
                topology="complete",
                stragglers=speeds([1.0, 0.02], 0.1),
                link=LINK | {"bandwidth_bps": 64.0},
                stop={"time_s": 40.0},
                evaluate={"every_s": every_s},
            )
        )
        passed = transmissions(trial)[0, 1]
        assert passed.start_s.tolist() == [0.0, 2.0, 5.0]
        assert passed.kind.tolist() == ["receive", "drop", "receive"]


CRASHING = {key: {"mean_up_s": 10.0, "mean_down_s": 3.0} for key in ("workers", "links")}


@pytest.mark.parametrize("faults", [None, CRASHING], ids=["whole", "crashing"])
@pytest.mark.parametrize("kind", ["dedicated", "fifo", "fair", "shared-medium"])
def test_evaluations_do_not_change_what_happens(kind, faults):
    # What waits for a busy wire goes out, and is lost, whether or not somebody looks.
    link = {"kind": kind, "loss": 0.4, "resend_after_s": 0.3}
    link |= {"bandwidth_bps" if kind == "shared-medium" else "up_bps": 128.0}
    first, second = (
        run(
            {"kind": "async-dsgd", "batch": 5, "sending": "overlapped"},
            link,
            stragglers={"kind": "uniform-speed", "low": 1.0, "high": 30.0},
            stop={"time_s": 40.0},
            evaluate={"every_s": every_s},
            faults=faults,
        ).timeline
        for every_s in (0.05, 1e6)
    )
    assert len(first) > 100
    columns = list(first)
    first, second = (frame.sort_values(columns, ignore_index=True) for frame in (first, second))
    assert first.equals(second)


def test_a_model_that_waits_behind_one_that_is_sent_again_is_still_replaced(lose):
    # Worker 0 posts a model at 0 and one at 5, to three neighbours, 2 s each on its card. The first
    # is lost on its way to worker 1 and handed to the card again at 2.5, for 4 to 6.
    lose(_01="x")
    trial = simulate(
        setting(
            {"kind": "async-dsgd", "batch": 1, "sending": "overlapped"},
            workers=4,
            topology="star",
            stragglers=speeds([0.2, 0.01], 0.01, 0.01, 0.01),
            link={"kind": "fifo", "up_bps": 64.0, "loss": 0.5, "resend_after_s": 0.5},
            stop={"time_s": 50.0},
        )
    )
    rows = trial.timeline[trial.timeline.peer == 0].sort_values("start_s")
    assert list(zip(rows.start_s, rows.worker, rows.step, strict=True)) == [
        (0.0, 1, 0),
        (2.0, 2, 0),
        (4.0, 1, 0),
        (6.0, 3, 1),  # the second in the place of the first
        (8.0, 1, 1),
        (10.0, 2, 1),
    ]
