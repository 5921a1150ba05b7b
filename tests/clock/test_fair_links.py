"""Fair sharing on the clock: flows of workers, against SimGrid and by hand."""

import json

import pytest
from builders import setting, simulate
from network_site import everybody, site
from shared_data import shared

from desim.clock.links.fair import Fair


def finish_times(case):
    """When each flow's last bit arrives, by the links on the clock."""
    workers = len(case["up_bps"])
    where = site(everybody(workers), up_bps=case["up_bps"], down_bps=case["down_bps"])
    links = {
        (link.source, link.targets[0]): link
        for row in Fair(latency_s=case["latency_s"], bandwidth_bps=float("inf")).build(where)
        for link in row
    }
    ends = [float("nan")] * len(case["flows"])

    def start(number, flow):
        yield where.env.timeout(flow["start_s"])

        def then(passage):
            ends[number] = passage[2]

        links[flow["src"], flow["dst"]].send(where.env.now, flow["size_bits"], then)

    for number, flow in enumerate(case["flows"]):
        where.env.process(start(number, flow))
    where.env.run()
    return ends


@pytest.mark.parametrize("name", ["small", "medium", "latency"])
def test_flows_end_when_simgrid_says(name):
    case = json.loads((shared("reference/simgrid-fair-sharing") / f"{name}.json").read_text())
    expected = [flow["finish_s"] for flow in case["flows"]]
    assert finish_times(case) == pytest.approx(expected, rel=1e-6)


#: 128 bits a model: with 128 bit/s one second alone.
LINK = {"kind": "fair", "up_bps": 128.0, "down_bps": 128.0}


def run(topology, workers, link=LINK, **changes):
    fields = {"workers": workers, "topology": topology, "link": link, "stop": {"rounds": 1}}
    return simulate(setting({"kind": "dsgd", "batch": 5}, **(fields | changes)))


def test_a_star_is_limited_by_its_hub_both_ways():
    # The hub sends 4 messages and gets 4, over a link that carries one a second each way.
    trial = run("star", 5)
    assert trial.outcome.time_s == pytest.approx(9.0)
    assert trial.rows("receive").end_s.tolist() == pytest.approx([9.0] * 8)


def test_on_a_ring_both_messages_share_the_way_out():
    assert run("ring", 6).outcome.time_s == pytest.approx(7.0)


def test_the_latency_lies_before_the_first_bit_and_occupies_nothing():
    assert run("star", 5, LINK | {"latency_s": 0.5}).outcome.time_s == pytest.approx(9.5)


def test_a_backbone_is_shared_by_all():
    # 12 messages of a ring of 6 over a backbone that carries 3 a second.
    assert run("ring", 6, LINK | {"backbone_bps": 3 * 128.0}).outcome.time_s == pytest.approx(9.0)


def test_hardware_may_have_access_links_of_its_own():
    slow = [{"speed_sps": 1.0, "count": 5}, {"speed_sps": 1.0, "count": 1, "up_bps": 32.0}]
    # Worker 5 sends its two messages at 16 bit/s each.
    assert run("ring", 6, hardware=slow).outcome.time_s == pytest.approx(5 + 128 / 16)


def test_what_is_under_way_at_the_end_is_in_the_timeline():
    trial = run("ring", 6, stop={"time_s": 6.0})
    assert trial.outcome.time_s == 6.0
    assert trial.rows("receive").end_s.tolist() == pytest.approx([7.0] * 12)
    assert trial.rows("send").bits.sum() == trial.rows("receive").bits.sum() == 12 * 128


def test_a_dense_graph_with_uneven_workers_conserves_bits_and_repeats_itself():
    fields = {"stragglers": {"kind": "uniform-speed", "low": 1.0, "high": 9.0}}
    fields |= {"stop": {"rounds": 20}, "seed": 3}
    first, second = (run("complete", 8, **fields) for _ in range(2))
    assert first.timeline.equals(second.timeline)
    assert first.rows("send").bits.sum() == first.rows("receive").bits.sum()
    for worker in range(8):  # never more than its link carries
        rows = first.rows("send", worker)
        whole_s = rows.end_s.max() - rows.start_s.min()
        assert rows.bits.sum() <= 128.0 * whole_s * (1 + 1e-9)
