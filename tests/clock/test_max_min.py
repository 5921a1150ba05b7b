"""Max-min fair sharing: SimGrid's times, closed forms, and what makes a sharing max-min fair."""

import json
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import shared

from desim.clock.max_min import MaxMin, fair_rates


@dataclass(frozen=True)
class Flow:
    source: int
    target: int
    size_bits: float
    start_s: float = 0
    cap_bps: float = inf


def finishes(flows, up_bps, down_bps, shared_bps=inf):
    """When each flow ends, going from event to event as a simulator does."""
    network = MaxMin(up_bps, down_bps, shared_bps)
    waiting = sorted(range(len(flows)), key=lambda i: flows[i].start_s)
    ends_s = {}
    while len(ends_s) < len(flows):
        now_s = network.next_finish_s()
        if waiting:
            now_s = min(now_s, flows[waiting[0]].start_s)
        ends_s |= dict.fromkeys(network.advance(now_s), now_s)
        while waiting and flows[waiting[0]].start_s == now_s:
            i = waiting.pop(0)
            flow = flows[i]
            network.add(i, flow.source, flow.target, flow.size_bits, flow.cap_bps)
    assert network.next_finish_s() == inf
    return [ends_s[i] for i in range(len(flows))]


def textbook_finishes(flows, up_bps, down_bps, shared_bps=inf):
    """The same in exact fractions: level after level, event after event."""
    left_bps = {("up", i): bps for i, bps in enumerate(up_bps)}
    left_bps |= {("down", i): bps for i, bps in enumerate(down_bps)}
    left_bps |= {("cap", i): flow.cap_bps for i, flow in enumerate(flows)} | {"shared": shared_bps}
    left_bps = {link: Fraction(bps) for link, bps in left_bps.items() if bps < inf}
    ways = [
        {("up", flow.source), ("down", flow.target), ("cap", i), "shared"} & left_bps.keys()
        for i, flow in enumerate(flows)
    ]
    bits = [Fraction(flow.size_bits) if way else 0 for flow, way in zip(flows, ways, strict=True)]
    starts_s = [Fraction(flow.start_s) for flow in flows]
    ends_s = {}
    now_s = Fraction(0)
    while True:
        going = [i for i in range(len(flows)) if starts_s[i] <= now_s and i not in ends_s]
        ends_s |= {i: now_s for i in going if bits[i] == 0}
        if len(ends_s) == len(flows):
            return [float(ends_s[i]) for i in range(len(flows))]
        going = [i for i in going if bits[i] > 0]
        rates = textbook_rates({i: ways[i] for i in going}, left_bps)
        step_s = min(
            [bits[i] / rates[i] for i in going] + [s - now_s for s in starts_s if s > now_s]
        )
        now_s += step_s
        for i in going:
            bits[i] -= rates[i] * step_s


def textbook_rates(ways, capacity_bps):
    rates, left_bps = {}, dict(capacity_bps)
    while len(rates) < len(ways):
        shares = {}
        for link, bps in left_bps.items():
            on_it = [i for i in ways if link in ways[i] and i not in rates]
            if on_it:
                shares[link] = (bps / len(on_it), on_it)
        level, full = min(shares.values())
        for i in full:
            rates[i] = level
            for link in ways[i]:
                left_bps[link] -= level
    return rates


@pytest.mark.parametrize("case", ["small", "medium", "latency"])
def test_the_times_are_simgrids(case):
    given = json.loads((shared("reference/simgrid-fair-sharing") / f"{case}.json").read_text())
    flows = [
        # A flow occupies nothing until its latency has passed.
        Flow(flow["src"], flow["dst"], flow["size_bits"], flow["start_s"] + given["latency_s"])
        for flow in given["flows"]
    ]
    expected_s = [flow["finish_s"] for flow in given["flows"]]
    assert finishes(flows, given["up_bps"], given["down_bps"]) == pytest.approx(
        expected_s, rel=1e-6
    )


def test_senders_to_one_receiver_share_its_down_link():
    flows = [Flow(source, 0, 100.0) for source in range(1, 6)]
    assert finishes(flows, [50.0] * 6, [20.0] * 6) == pytest.approx([25.0] * 5)


def test_receivers_of_one_sender_share_its_up_link():
    flows = [Flow(0, target, size_bits) for target, size_bits in [(1, 10.0), (2, 10.0), (3, 40.0)]]
    # 20 bit/s: three thirds until 1.5 s, then the last flow alone with 30 bits.
    assert finishes(flows, [20.0] * 4, [inf] * 4) == pytest.approx([1.5, 1.5, 3.0])


def test_a_late_flow_takes_its_share_from_then_on():
    # Alone for 1 s, 6 of 10 bits; then halves: 4 bits at 3 bit/s; then the other's last 2 bits.
    flows = [Flow(0, 1, 10.0), Flow(2, 1, 6.0, start_s=1.0)]
    assert finishes(flows, [9.0] * 3, [6.0] * 3) == pytest.approx([7 / 3, 8 / 3])


def test_a_flow_at_its_cap_leaves_the_rest_to_the_others():
    flows = [Flow(0, 1, 8.0, cap_bps=1.0), Flow(0, 2, 36.0), Flow(0, 3, 36.0)]
    assert finishes(flows, [10.0] * 4, [inf] * 4) == pytest.approx([8.0, 8.0, 8.0])


def test_a_shared_medium_is_shared_by_all():
    flows = [Flow(0, 1, 10.0), Flow(2, 3, 10.0), Flow(3, 2, 10.0), Flow(1, 0, 10.0, cap_bps=1.0)]
    expected_s = [10 / 3, 10 / 3, 10 / 3, 10.0]
    assert finishes(flows, [inf] * 4, [100.0] * 4, shared_bps=10.0) == pytest.approx(expected_s)


def test_the_parking_lot_has_its_known_rates():
    """A long flow crosses every link, a short one each: here 10, 4 and 6 bit/s."""
    links = np.array([[0, 0, 1, 2], [1, 3, 3, 3], [2, 3, 3, 3]])
    rates = fair_rates(links, np.full(4, inf), np.array([10.0, 4.0, 6.0, inf]))
    assert rates.tolist() == [2.0, 8.0, 2.0, 4.0]


def test_the_three_flow_chain_has_its_known_rates():
    """a -> x, a -> y, b -> y: the middle flow is held by y, and a -> x takes what it leaves."""
    links = np.array([[0, 0, 1], [2, 3, 3]])
    rates = fair_rates(links, np.full(3, inf), np.array([10.0, 10.0, 10.0, 6.0]))
    assert rates.tolist() == [7.0, 3.0, 3.0]
    flows = [Flow(0, 0, 70.0), Flow(0, 1, 30.0), Flow(1, 1, 30.0)]
    assert finishes(flows, [10.0, 10.0], [10.0, 6.0]) == pytest.approx([10.0] * 3)


def test_a_flow_that_nothing_limits_ends_at_once():
    network = MaxMin([inf, 8.0], [inf, 8.0])
    assert network.advance(3.0) == []
    network.add("slow", 1, 1, 8.0)
    network.add("unlimited", 0, 0, 1e12)
    network.add("empty", 1, 1, 0)
    network.add("capped", 0, 0, 8.0, cap_bps=4.0)
    assert network.next_finish_s() == 3.0
    assert network.advance(3.0) == ["unlimited", "empty"]
    assert network.next_finish_s() == 4.0
    assert network.advance(10.0) == ["slow", "capped"]
    assert network.next_finish_s() == inf


def test_equal_flows_end_together_in_the_order_in_which_they_were_added():
    n = 30
    network = MaxMin([1e7 / 3] * n, [1e7 / 7] * n)
    order = np.random.default_rng(0).permutation(n).tolist()
    early = [(i, (i + k) % n) for k in range(1, 12) for i in order]
    late = [(i, (i + k) % n) for k in range(12, 20) for i in reversed(order)]
    for now_s, size_bits, pairs in [(0.1, 1e5, early), (0.3, 2e5, late)]:
        assert network.advance(now_s) == []
        for pair in pairs:
            network.add(pair, *pair, size_bits)
    assert network.advance(network.next_finish_s()) == early
    assert network.advance(network.next_finish_s()) == late


def test_flows_end_together_whatever_rounding_makes_of_their_rates():
    assert 3.0 / (0.3 / 3) != 3.0 / 0.1
    network = MaxMin([0.3, 0.1], [inf])
    for flow, source in enumerate([0, 1, 0, 0]):
        network.add(flow, source, 0, 3.0)
    assert network.advance(network.next_finish_s()) == [0, 1, 2, 3]


def test_one_advance_over_many_ends_gives_them_in_their_order():
    network = MaxMin([10.0] * 3, [10.0] * 3)
    for flow, size_bits in enumerate([40.0, 10.0, 30.0, 10.0]):
        network.add(flow, 0, 1 + flow % 2, size_bits)
    assert network.advance(9.0) == [1, 3, 2, 0]


def test_a_time_below_the_resolution_of_the_clock_is_no_time():
    network = MaxMin([1e12] * 2, [1e12] * 2)
    assert network.advance(1e9) == []
    for flow in range(5):
        network.add(flow, 0, 1, 10.0 + flow)
    assert network.next_finish_s() == 1e9
    assert network.advance(1e9) == [0, 1, 2, 3, 4]


def test_a_link_that_is_never_idle_carries_its_bandwidth_all_the_time():
    """However many flows come and go, the last one ends at all bits / bandwidth."""
    rng = np.random.default_rng(0)
    network = MaxMin([inf] * 4, [3e6] * 4)
    network.add("long", 0, 1, 1e8)
    total_bits = 1e8
    for short in range(1000):
        network.advance(0.03 * short)
        size_bits = rng.uniform(1, 1e5)
        network.add(short, 2 + short % 2, 1, size_bits)
        total_bits += size_bits
    while (end_s := network.next_finish_s()) < inf:
        last = network.advance(end_s)
        last_s = end_s
    assert last == ["long"]
    assert last_s == pytest.approx(total_bits / 3e6, rel=1e-12)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="0 bit/s: must be positive"):
        MaxMin([1.0, 0.0], [1.0])
    with pytest.raises(ValueError, match="nan bit/s: must be positive"):
        MaxMin([1.0], [1.0], nan)
    network = MaxMin([1.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="target = 2: there are 1 up links and 2 down links"):
        network.add("a", 0, 2, 1.0)
    with pytest.raises(ValueError, match="source = -1"):
        network.add("a", -1, 0, 1.0)
    for size_bits, cap_bps in [(-1.0, inf), (nan, inf), (inf, inf), (1.0, 0.0), (1.0, nan)]:
        with pytest.raises(ValueError, match="size_bits = "):
            network.add("a", 0, 0, size_bits, cap_bps)
    network.advance(2.0)
    with pytest.raises(ValueError, match=r"now_s = 1.5: must not be before 2.0"):
        network.advance(1.5)


# A few round numbers, so that links tie and flows start and end together, and any others.
BANDWIDTHS = st.sampled_from([1.0, 2.0, 3.0, 4.0, 10.0, inf]) | st.floats(1e-3, 1e9)
SIZES = st.sampled_from([0.0, 1.0, 6.0, 12.0]) | st.floats(1e-3, 1e9)
CAPS = st.just(inf) | BANDWIDTHS
HOSTS = 4
NETWORKS = st.fixed_dictionaries(
    {
        "up_bps": st.lists(BANDWIDTHS, min_size=HOSTS, max_size=HOSTS),
        "down_bps": st.lists(BANDWIDTHS, min_size=HOSTS, max_size=HOSTS),
        "shared_bps": CAPS,
    }
)
HOST = st.integers(0, HOSTS - 1)
FLOWS = st.lists(
    st.builds(Flow, HOST, HOST, SIZES, st.integers(0, 3) | st.floats(0, 100), CAPS), max_size=10
)
QUICK = settings(max_examples=60, deadline=None)


@QUICK
@given(NETWORKS, FLOWS)
def test_the_times_are_the_textbooks(network, flows):
    expected_s = textbook_finishes(flows, **network)
    assert finishes(flows, **network) == pytest.approx(expected_s, rel=1e-9)


@QUICK
@given(NETWORKS, FLOWS, st.randoms(use_true_random=False))
def test_the_order_of_adding_does_not_matter(network, flows, random):
    order = list(range(len(flows)))
    random.shuffle(order)
    times_s = finishes(flows, **network)
    shuffled_s = finishes([flows[i] for i in order], **network)
    assert shuffled_s == pytest.approx([times_s[i] for i in order], rel=1e-9)


LINKS = 7


@QUICK
@given(
    st.lists(BANDWIDTHS, min_size=LINKS, max_size=LINKS),
    st.lists(st.tuples(st.integers(0, 2), st.integers(3, 5), CAPS), min_size=1, max_size=40),
)
def test_every_flow_is_at_its_cap_or_fastest_on_a_full_link(capacity_bps, flows):
    capacity_bps = np.array(capacity_bps)
    # The last link is the medium: finite, so that every flow has a limit.
    capacity_bps[-1] = min(capacity_bps[-1], 1e9)
    *ends, cap_bps = np.array(flows).T
    links = np.array([*ends, np.full(len(flows), LINKS - 1)], dtype=np.intp)
    rate_bps = fair_rates(links, cap_bps, capacity_bps)
    used_bps = np.bincount(links.ravel(), np.tile(rate_bps, 3), LINKS)
    fastest_bps = np.zeros(LINKS)
    np.maximum.at(fastest_bps, links, np.broadcast_to(rate_bps, links.shape))
    assert (rate_bps > 0).all()
    assert (used_bps <= capacity_bps * (1 + 1e-9)).all()
    assert (rate_bps <= cap_bps).all()
    is_full = used_bps >= capacity_bps * (1 - 1e-9)
    is_fastest = rate_bps >= fastest_bps[links] * (1 - 1e-9)
    assert ((is_full[links] & is_fastest).any(axis=0) | (rate_bps == cap_bps)).all()


@QUICK
@given(st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=30), st.floats(1e-3, 1e9))
def test_bits_that_start_together_keep_the_link_busy_to_the_last(sizes_bits, bandwidth_bps):
    flows = [Flow(0, 0, size_bits) for size_bits in sizes_bits]
    times_s = finishes(flows, [inf], [bandwidth_bps])
    in_order = sorted(zip(sizes_bits, times_s, strict=True))
    assert in_order[-1][1] == pytest.approx(sum(sizes_bits) / bandwidth_bps, rel=1e-9)
    assert all(early[1] <= late[1] for early, late in pairwise(in_order))
