"""FIFO: a worker's messages leave one after another, which makes a link a queue."""

from itertools import count

import numpy as np
import pytest
from builders import setting, simulate
from network_site import site

from desim.algorithms.base import Algorithm
from desim.clock.links.fifo import Fifo
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker

BITS = 1e6  # the mean size; rounding sizes to whole bits changes nothing that counts


def arrivals(load, number, seed):
    """Poisson arrivals and exponential sizes that keep a link of 1 Mbit/s so busy."""
    random = np.random.default_rng(seed)
    times = np.cumsum(random.exponential(1 / load, number))
    return times.tolist(), np.rint(random.exponential(BITS, number)).astype(int).tolist()


@pytest.mark.parametrize(("load", "number"), [(0.5, 400_000), (0.8, 4_000_000)])
def test_a_link_under_poisson_arrivals_and_exponential_sizes_is_the_queue_mm1(load, number):
    # The mean wait is load / (1 - load) service times. The estimate's variance, times the number
    # of messages, is load (2 + 5 load - 4 load^2 + load^3) / (1 - load)^4 (Daley 1968): its
    # standard error is 0.5 % of the mean here, and 2 % are four of them.
    ((link,), _) = Fifo(up_bps=BITS).build(site([[1], [0]]))
    times, sizes = arrivals(load, number, seed=1)
    carry = link.carry
    waited = sum(carry(now, bits)[0] - now for now, bits in zip(times, sizes, strict=True))
    assert waited / number == pytest.approx(load / (1 - load), rel=0.02)


class Sender(Algorithm):
    """Worker 0 sends at given times."""

    times: list[float]
    sizes: list[int]

    def worker(self, me: Worker) -> Waiting:
        if me.id == 0:
            for tag, now, bits in zip(count(), self.times, self.sizes, strict=False):
                yield from me.compute_until(me.model, now - me.now_s)
                me.broadcast(Message(me.model, bits), tag)
        yield from me.compute(me.model, 10**6)


def test_the_simulator_delays_each_message_as_lindleys_recursion_says():
    times, sizes = arrivals(0.8, 2000, seed=2)
    method = Sender(times=times, sizes=sizes, step_size={"kind": "constant", "alpha": 1.0})
    link = {"kind": "fifo", "up_bps": BITS, "latency_s": 0.25}
    trial = simulate(
        setting(method, workers=2, topology="complete", link=link, stop={"time_s": 1e5})
    )
    got = trial.rows("receive").sort_values("step")
    free = 0.0
    for now, bits, departs, arrives in zip(times, sizes, got.start_s, got.end_s, strict=True):
        assert departs == pytest.approx(max(now, free), abs=1e-9)
        free = departs + bits / BITS
        assert arrives == pytest.approx(free + 0.25, abs=1e-9)


def test_a_broadcast_goes_out_neighbour_after_neighbour_and_receivers_dont_queue():
    # Three workers, all neighbours, 1 s a message: each has sent both after 2 s.
    fields = {"link": {"kind": "fifo", "up_bps": 128.0}, "topology": "complete"}
    trial = simulate(setting({"kind": "dsgd", "batch": 5}, **fields, stop={"rounds": 1}))
    got = trial.rows("receive")
    assert trial.outcome.time_s == pytest.approx(7.0)
    for worker, ends in {0: [6, 6], 1: [6, 7], 2: [7, 7]}.items():
        assert sorted(got[got.worker == worker].end_s) == pytest.approx(ends)
    assert trial.spans("send", 0) == [(5.0, 7.0)]


def test_a_message_goes_at_the_least_bandwidth_on_its_way():
    model = Fifo(up_bps=10.0, down_bps=5.0, bandwidth_bps=100.0)
    ((first, second), *_) = model.build(site([[1, 2], [0], [0]]))
    assert first.carry(0.0, 10) == (0.0, 2.0, 2.0)
    assert second.carry(0.0, 10) == (2.0, 4.0, 4.0)  # after the first, on the same card


def test_newest_models_that_wait_leave_in_the_order_in_which_they_began_to_wait():
    # One second a message and a new model every second, two neighbours: the card is always busy,
    # and each neighbour gets every second model.
    method = {"kind": "async-dsgd", "batch": 1, "sending": "overlapped"}
    fields = {"link": {"kind": "fifo", "up_bps": 128.0}, "topology": "complete"}
    trial = simulate(setting(method, **fields, stop={"time_s": 20.5}))
    for receiver in (1, 2):
        got = trial.timeline[(trial.timeline.kind == "receive") & (trial.timeline.peer == 0)]
        got = got[got.worker == receiver].sort_values("start_s")
        assert np.diff(got.start_s) == pytest.approx(2.0)
        assert np.diff(got.step)[1:] == pytest.approx(2.0)  # the first had a free card
