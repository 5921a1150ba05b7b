"""Jitter and losses: their laws, and that every method has the same draws."""

import numpy as np
import pytest
from network_site import site
from traffic import METHODS, run, transmissions

from desim.clock.links.dedicated import Dedicated
from desim.clock.links.fair import Fair
from desim.clock.links.fifo import Fifo

WIRED = [Dedicated, Fifo, Fair]


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
        fates.append({pair: (rows.kind == "drop").tolist()[:20] for pair, rows in found.items()})
    assert {len(fate) for found in fates for fate in found.values()} == {20}
    assert all(found == fates[0] for found in fates)
    assert fates[0][0, 1] != fates[0][1, 0]
    assert 0 < sum(fates[0][0, 1]) < 20


def test_no_jitter_and_no_loss_are_as_if_they_were_not_there():
    link = {"kind": "dedicated", "bandwidth_bps": 128.0}
    plain = run(METHODS[0], link)
    assert run(METHODS[0], link | {"jitter_s": 0.0, "loss": 0.0}).timeline.equals(plain.timeline)


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
