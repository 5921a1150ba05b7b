"""Links: what every link model promises, and the dedicated link's exact times."""

from collections.abc import Iterable

import numpy as np
import pytest
from builders import examples, label, setting, simulate

from desim.algorithms.base import Algorithm
from desim.clock.links.dedicated import Dedicated, DedicatedLink
from desim.streams import Streams
from desim.worker import Message, Waiting, Worker

LINKS = examples("links")


@pytest.mark.parametrize("model", LINKS, ids=label)
def test_every_neighbour_has_one_link_whose_messages_leave_in_order(model):
    links = model.build(2, [0, 1, 5], Streams(3))
    assert sorted(target for link in links for target in link.targets) == [0, 1, 5]
    for link in links:
        assert link.source == 2
        assert link.free_at() <= 0
        busy_until = last_arrival = 0.0
        for now, bits in [(0.0, 1000), (0.0, 10), (0.001, 5000), (50.0, 1)]:
            departs, left, arrives = link.carry(now, bits)
            assert max(now, busy_until) <= departs <= left <= arrives
            assert arrives >= last_arrival
            assert link.free_at() <= arrives
            busy_until, last_arrival = link.free_at(), arrives


@pytest.mark.parametrize("model", LINKS, ids=label)
def test_an_idle_link_keeps_within_its_stated_times(model):
    shortest, longest = model.times_s(4000)
    for link in model.build(0, list(range(1, 40)), Streams(0)):
        assert shortest - 1e-12 <= link.carry(7.0, 4000)[2] - 7.0 <= longest + 1e-12


@pytest.mark.parametrize("model", LINKS, ids=label)
def test_a_seed_gives_the_same_links_whoever_asks_first(model):
    def times(sources: Iterable[int]) -> dict[int, list[float]]:
        streams = Streams(5)
        return {
            i: [ln.carry(0.0, 999)[2] for ln in model.build(i, [8, 9], streams)] for i in sources
        }

    assert times([0, 1, 2]) == times([2, 0, 1])


def test_a_message_takes_latency_plus_size_over_bandwidth():
    (link,) = Dedicated(bandwidth_bps=100.0, latency_s=0.5).build(0, [1, 2], Streams(0))
    assert link.carry(2.0, 300) == (2.0, 5.0, 5.5)


def test_messages_on_one_link_queue_and_the_latency_does_not_occupy_it():
    link = DedicatedLink(0, [1], latency_s=10.0, bandwidth_bps=1.0)
    assert link.carry(0.0, 3) == (0.0, 3.0, 13.0)
    assert link.carry(1.0, 2) == (3.0, 5.0, 15.0)  # waits for the wire, not for the arrival
    assert link.carry(6.0, 1) == (6.0, 7.0, 17.0)  # finds it free


def test_infinite_bandwidth_leaves_only_the_latency():
    (link,) = Dedicated(bandwidth_bps=float("inf"), latency_s=0.25).build(0, [1], Streams(0))
    assert link.carry(1.0, 10**9) == (1.0, 1.0, 1.25)


def test_ranges_are_drawn_per_directed_link_and_uniformly():
    # 60 x 59 draws of each; the standard error of a uniform's mean on [0, 1] is 0.289 / 59.5.
    model = Dedicated(
        bandwidth_bps={"low": 10.0, "high": 30.0}, latency_s={"low": 1.0, "high": 2.0}
    )
    streams = Streams(0)
    links = [
        link
        for i in range(60)
        for link in model.build(i, [j for j in range(60) if j != i], streams)
    ]
    latencies = np.array([link.latency_s for link in links])
    rates = np.array([1 / link.seconds_per_bit for link in links])
    assert len(set(latencies)) == len(links) == 60 * 59
    for unit in (latencies - 1, (rates - 10) / 20):
        assert 0 <= unit.min() < 0.01
        assert 0.99 < unit.max() <= 1
        assert unit.mean() == pytest.approx(0.5, abs=5 * 0.289 / 59.5)
    assert abs(np.corrcoef(latencies, rates)[0, 1]) < 5 / 59.5


def test_different_latencies_alone_keep_an_infinite_bandwidth():
    model = Dedicated(bandwidth_bps=float("inf"), latency_s={"low": 1.0, "high": 2.0})
    for link in model.build(0, [1, 2, 3], Streams(0)):
        departs, left, arrives = link.carry(0.0, 10**6)
        assert departs == left == 0
        assert 1 <= arrives <= 2


class TwoAtOnce(Algorithm):
    """Sends two messages at once, gathers both, and notes when it has them."""

    def worker(self, me: Worker) -> Waiting:
        message = Message(me.initial_model(), size_bits=100)
        me.broadcast(message, tag=0)
        me.broadcast(message, tag=1)
        for tag in (0, 1):
            yield from me.gather(tag=tag)
            me.commit(me.model)
        yield from me.compute(me.model, 1000)


def test_two_messages_sent_at_once_arrive_one_wire_time_apart():
    # 100 bits at 50 bit/s: 2 s on the wire each, then 0.5 s of latency: 2.5 and 4.5.
    trial = simulate(
        setting(
            TwoAtOnce(step_size={"kind": "constant", "alpha": 1.0}),
            link={"kind": "dedicated", "bandwidth_bps": 50.0, "latency_s": 0.5},
            stop={"rounds": 2},
        )
    )
    for worker in range(3):
        received = trial.rows("receive", worker)
        assert sorted(received.start_s) == [0, 0, 2, 2]
        assert sorted(received.end_s) == [2.5, 2.5, 4.5, 4.5]
    assert trial.outcome.time_s == 4.5
