"""Links: what every link model promises, and the dedicated link's exact times."""

import numpy as np
import pytest
from builders import examples, label, setting, simulate
from network_site import everybody, site

from desim.algorithms.base import Algorithm
from desim.clock.links.dedicated import Cable, Dedicated
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker

LINKS = examples("links")


#: Worker 2 sends to 0, 1 and 5; everybody else to 2 only.
STAR = [[2], [2], [0, 1, 5], [2], [2], [2]]


def alone(model, **changes):
    """Each of worker 2's links on an otherwise idle network of its own."""
    for place in range(len(model.build(site(STAR, **changes))[2])):
        where = site(STAR, **changes)
        yield where.env, model.build(where)[2][place]


def passages(env, link, sends):
    """When messages pass that are sent at given times."""
    got = []
    for now, bits in sends:
        if now > env.now:
            env.run(until=now)
        link.send(now, bits, got.append)
    env.run()
    return got


@pytest.mark.parametrize("model", LINKS, ids=label)
@pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
def test_every_neighbour_has_one_link_and_messages_keep_their_order(model, apart):
    sends = [(0.0, 1000), (0.0, 1000), (0.001, 5000), (50.0, 6000)]
    reached = []
    for env, link in alone(model, seed=3, apart=apart):
        reached += link.targets
        assert link.source == 2
        got = passages(env, link, sends)
        assert len(got) == len(sends)
        for (now, _), (departs, left, arrives) in zip(sends, got, strict=True):
            assert now <= departs <= left <= arrives
        assert [passage[2] for passage in got] == sorted(passage[2] for passage in got)
    assert sorted(reached) == [0, 1, 5]


@pytest.mark.parametrize("model", LINKS, ids=label)
def test_an_idle_link_keeps_within_its_stated_times(model):
    shortest, longest = model.times_s(site(STAR), 4000)
    for env, link in alone(model.model_copy(update={"jitter_s": None})):
        ((_, _, arrives),) = passages(env, link, [(7.0, 4000)])
        assert shortest - 1e-12 <= arrives - 7.0 <= longest + 1e-12


def test_a_seed_gives_the_same_links_whatever_else_is_there():
    model = Dedicated(bandwidth_bps={"low": 1.0, "high": 2.0}, up_bps={"low": 0.1, "high": 3.0})
    small, large = (
        [[w[:4] for w in row] for row in model.paths(site(neighbours, 5))]
        for neighbours in ([[1], [0]], [[1, 2], [0], [0]])
    )
    assert small[0][0] == large[0][0]
    assert small[1] == large[1]


def test_a_message_takes_latency_plus_size_over_bandwidth():
    ((link,), *_) = Dedicated(bandwidth_bps=100.0, latency_s=0.5).build(site([[1, 2], [0], [0]]))
    assert link.carry(2.0, 300) == (2.0, 5.0, 5.5)


def test_messages_on_one_link_queue_and_the_latency_does_not_occupy_it():
    link = Cable(0, [1], latency_s=10.0, bandwidth_bps=1.0)
    assert link.carry(0.0, 3) == (0.0, 3.0, 13.0)
    assert link.carry(1.0, 2) == (3.0, 5.0, 15.0)  # waits for the wire, not for the arrival
    assert link.carry(6.0, 1) == (6.0, 7.0, 17.0)  # finds it free


def test_infinite_bandwidth_leaves_only_the_latency():
    ((link,), _) = Dedicated(bandwidth_bps=float("inf"), latency_s=0.25).build(site([[1], [0]]))
    assert link.carry(1.0, 10**9) == (1.0, 1.0, 1.25)


def test_the_slowest_part_of_the_way_counts_and_hardware_has_links_of_its_own():
    model = Dedicated(bandwidth_bps=50.0, up_bps=40.0, down_bps=30.0)
    rates = [way.slowest_bps for row in model.paths(site([[1], [0]])) for way in row]
    assert rates == [30.0, 30.0]
    own = site([[1], [0]], up_bps=[10.0, None], down_bps=[None, 1000.0])
    assert [way.slowest_bps for row in model.paths(own) for way in row] == [10.0, 30.0]


def test_ranges_are_drawn_per_directed_link_and_uniformly():
    # 60 x 59 draws of each; the standard error of a uniform's mean on [0, 1] is 0.289 / 59.5.
    model = Dedicated(
        bandwidth_bps={"low": 10.0, "high": 30.0}, latency_s={"low": 1.0, "high": 2.0}
    )
    links = [link for row in model.build(site(everybody(60))) for link in row]
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
    for link in model.build(site([[1, 2, 3], [0], [0], [0]]))[0]:
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
