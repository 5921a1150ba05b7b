"""Jitter and lost messages: their laws, their draws, and who waits for what is sent again."""

from itertools import count

import numpy as np
import pytest
from builders import setting, simulate, speeds
from network_site import site

from desim.algorithms.base import Algorithm
from desim.clock import eventful
from desim.clock.links.dedicated import Dedicated
from desim.clock.links.fair import Fair
from desim.clock.links.fifo import Fifo
from desim.worker import Message, Waiting, Worker

WIRED = [Dedicated, Fifo, Fair]

# Jitter.


def arrivals(model, gap_s, number, neighbours=([1], [0]), place=0, **changes):
    """When messages of 100 bits arrive that worker 0 sends to one neighbour every gap_s seconds."""
    where = site(neighbours, **changes)
    links = {target: link for link in model.build(where)[0] for target in link.targets}
    link, got = links[neighbours[0][place]], []

    def sending():
        for _ in range(number):
            link.send(where.env.now, 100, got.append)
            yield where.env.timeout(gap_s)

    where.env.process(sending())
    where.env.run()
    return np.array([arrives_s for _, _, arrives_s in got])


def late_s(model, gap_s, number, jitter_s, **changes):
    """How much later than without jitter they arrive."""
    link = {"up_bps": 1000.0, "latency_s": 0.5}
    without = arrivals(model(**link), gap_s, number, **changes)
    return arrivals(model(**link, jitter_s=jitter_s), gap_s, number, **changes) - without


@pytest.mark.parametrize(
    ("model", "apart"),
    [
        (Dedicated, False),
        (Dedicated, True),
        (Fifo, False),
        (Fair, False),
    ],
)
def test_jitter_is_exponential(model, apart):
    # An idle link: a second between messages, 100 ms on the wire and 20 ms of jitter.
    late = late_s(model, 1.0, 4000, 0.02, apart=apart) / 0.02
    assert late.min() >= -1e-9
    # Standard errors of 4,000 exponential times' mean, mean square and share above the mean.
    assert late.mean() == pytest.approx(1.0, abs=5 * 0.0158)
    assert (late**2).mean() == pytest.approx(2.0, abs=5 * 0.0158 * np.sqrt(20))
    assert (late > 1).mean() == pytest.approx(np.exp(-1), abs=5 * 0.0158 * 0.482)
    # One message tells nothing of the next.
    assert abs(np.corrcoef(late[1:], late[:-1])[0, 1]) < 5 * 0.0158


@pytest.mark.parametrize("model", WIRED, ids=lambda model: model.kind)
def test_messages_on_one_link_never_overtake(model):
    # Ten messages go out in the mean jitter: each arrives with the latest of those before it.
    fields = {"neighbours": ([1, 2], [0], [0])}
    alone = late_s(model, 1000.0, 500, 2.0, **fields)
    close = late_s(model, 0.2, 500, 2.0, **fields)
    due = 0.2 * np.arange(500) + alone
    expected = np.maximum.accumulate(due)
    assert (expected > due).mean() > 0.5
    if model is Fair:  # it delays the first bit, and those that begin together share the way
        assert (np.diff(close) >= -0.2 - 1e-9).all()
    else:
        np.testing.assert_allclose(close + 0.2 * np.arange(500), expected, atol=1e-9)


@pytest.mark.parametrize("model", WIRED, ids=lambda model: model.kind)
def test_links_have_jitter_of_their_own(model):
    triangle = ([1, 2], [0, 2], [0, 1])
    first, second = (late_s(model, 100.0, 1000, 1.0, neighbours=triangle, place=k) for k in (0, 1))
    other = late_s(model, 100.0, 1000, 1.0, neighbours=triangle, seed=1)
    for one in (second, other):
        assert abs(np.corrcoef(first, one)[0, 1]) < 5 / np.sqrt(1000)
    np.testing.assert_array_equal(
        first, late_s(model, 100.0, 1000, 1.0, neighbours=triangle, apart=True)
    )


METHODS = [
    {"kind": "dsgd", "batch": 5},
    {"kind": "dsgd", "batch": 7, "barrier": "neighbors", "overlap": True},
    {"kind": "quantimed-dsgd", "deadline_s": 3.0},
    {"kind": "async-dsgd", "batch": 4},
    {"kind": "async-dsgd", "batch": 4, "sending": "overlapped"},
]


def run(method, link, **changes):
    fields = {"workers": 4, "stop": {"rounds": 20}, "seed": 3}
    fields |= {"stragglers": {"kind": "uniform-speed", "low": 0.5, "high": 1.5}}
    return simulate(setting(method, link=link, **(fields | changes)))


def transmissions(trial):
    """The messages on each link in the order in which they went out, lost or not."""
    rows = trial.timeline[trial.timeline.kind.isin(["receive", "lose"])]
    rows = rows.sort_values("start_s", kind="stable")
    return dict(iter(rows.groupby(["peer", "worker"])))


@pytest.mark.parametrize("kind", ["dedicated", "fifo", "fair"])
def test_the_kth_message_on_a_link_has_the_same_jitter_under_every_method(kind):
    # Messages of 128 bits take no time that counts; they are seconds apart, the jitter is small.
    link = {"kind": kind, "up_bps": 1e15, "latency_s": 0.25, "jitter_s": 0.05}
    alone = Dedicated(up_bps=1e15, jitter_s=0.05)
    ring = ([1, 3], [0, 2], [1, 3], [0, 2])
    drawn = arrivals(alone, 1000.0, 15, neighbours=ring, seed=3) - 1000.0 * np.arange(15)
    delays = []
    for method in METHODS:
        found = transmissions(run(method, link))
        late = {pair: rows.end_s - rows.start_s - 0.25 for pair, rows in found.items()}
        delays.append({pair: found.to_numpy()[:15] for pair, found in late.items()})
        np.testing.assert_allclose(delays[-1][0, 1], drawn, rtol=0, atol=1e-9)
        for pair, delay in delays[0].items():
            np.testing.assert_allclose(delays[-1][pair], delay, rtol=0, atol=1e-9)
    assert len({delay[0] for delay in delays[0].values()}) == 8


@pytest.mark.parametrize("kind", ["dedicated", "fifo", "fair"])
def test_the_kth_message_on_a_link_is_lost_under_every_method_or_under_none(kind):
    link = {"kind": kind, "up_bps": 1e4, "latency_s": 0.25, "loss": 0.4, "resend_after_s": 0.5}
    fates = []
    for method in METHODS:
        found = transmissions(run(method, link, workers=2, topology="complete"))
        fates.append({pair: (rows.kind == "lose").tolist()[:20] for pair, rows in found.items()})
    assert {len(fate) for found in fates for fate in found.values()} == {20}
    assert all(found == fates[0] for found in fates)
    assert fates[0][0, 1] != fates[0][1, 0]
    assert 0 < sum(fates[0][0, 1]) < 20


def test_no_jitter_and_no_loss_are_as_if_they_were_not_there():
    link = {"kind": "dedicated", "bandwidth_bps": 128.0}
    plain = run(METHODS[0], link)
    assert run(METHODS[0], link | {"jitter_s": 0.0, "loss": 0.0}).timeline.equals(plain.timeline)


# Losses.


@pytest.mark.parametrize("kind", ["dedicated", "fair"])
def test_the_number_of_tries_is_geometric(kind):
    p, messages = 0.6, 4 * 2 * 500
    link = {"kind": kind, "up_bps": 1e6, "loss": p, "resend_after_s": 0.01}
    trial = run(METHODS[0], link, stop={"rounds": 500})
    tries = np.concatenate(
        [rows.groupby("step").size().to_numpy() for rows in transmissions(trial).values()]
    )
    assert len(tries) == messages
    # Mean 1 / (1 - p) and variance p / (1 - p)^2.
    assert tries.mean() == pytest.approx(2.5, abs=5 * np.sqrt(p) / (1 - p) / np.sqrt(messages))
    for k in range(1, 6):
        share = (1 - p) * p ** (k - 1)
        error = np.sqrt(share * (1 - share) / messages)
        assert (tries == k).mean() == pytest.approx(share, abs=5 * error)


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
        for rows in ("receive", "lose")
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
    return trial, [(r.step, r.start_s, r.kind == "lose") for r in rows.itertuples()]


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
        assert passed.kind.tolist() == ["receive", "lose", "receive"]


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
