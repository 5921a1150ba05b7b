"""Machines: a gradient's time by the roofline, and clusters of several kinds."""

import tomllib

import numpy as np
import pytest
import tomli_w
from builders import problem, setting, simulate
from clusters import COST, MACHINE, cluster_of, scenario_table
from hypothesis import given
from hypothesis import strategies as st

import desim
from desim.clock.hardware import Hardware, Timing
from desim.clock.stragglers.base import StragglerModel
from desim.clock.stragglers.none import NoStragglers
from desim.scenario.setting import Cluster
from desim.schema import profiles
from desim.streams import Streams

# One machine's time.


@pytest.mark.parametrize(
    ("changes", "batch", "seconds"),
    [
        ({}, 1, 0.204),  # memory-bound
        ({}, 1000, 4.2),
        ({"overhead_s": 0.5}, 1000, 4.7),
        ({"memory_bytes_per_s": 1e8}, 1000, 2.0),  # compute-bound: traffic takes 0.042 s
        ({"memory_bytes_per_s": 1e8}, 1, 0.00204),  # memory-bound again: parameters take 2 ms
        ({"memory_bytes_per_s": 1e8, "efficiency": 1.0, "overhead_s": 0.25}, 1000, 1.25),
        ({"efficiency": 0.1}, 50, 0.5),  # a tie of 0.5 s with 0.4 s of traffic is none
        ({"speed_sps": 40.0}, 10, 0.25),  # simply given: the rest doesn't count
        ({"speed_sps": 40.0, "overhead_s": 0.5}, 10, 0.75),
    ],
)
def test_roofline_times_by_hand(changes, batch, seconds):
    timing = Hardware(**(MACHINE | changes)).timing(COST)
    assert timing.seconds(batch) == pytest.approx(seconds, rel=1e-12)
    assert timing.samples(seconds) == pytest.approx(batch, rel=1e-9)


def test_left_out_efficiency_is_1():
    table = {"peak_flops_per_s": 1e9, "memory_bytes_per_s": 1e12}
    assert Hardware(**table).timing(COST).seconds(1000) == pytest.approx(1.0)


def test_what_is_computed_for_each_gradient_counts_too():
    timing = Hardware(**(MACHINE | {"memory_bytes_per_s": 1e9})).timing(
        COST._replace(flops_fixed=1e9)
    )
    assert timing.seconds(100) == pytest.approx(2.0 + 0.2)
    assert timing.samples(2.2) == pytest.approx(100)
    assert timing.samples(1.9) == 0


def test_operators_take_their_time_besides():
    machine = Hardware(**MACHINE, operator_s=1e-3, overhead_s=0.5)
    timing = machine.timing(COST._replace(operators=40))
    assert timing.seconds(1000) == pytest.approx(0.5 + 0.04 + 4.2)
    assert timing.samples(4.74) == pytest.approx(1000)
    # A speed that is simply given has them in it.
    given = Hardware(**MACHINE, operator_s=1e-3, speed_sps=50.0)
    assert given.timing(COST._replace(operators=40)).seconds(10) == pytest.approx(0.2)


def test_a_given_speed_needs_no_model():
    assert Hardware(speed_sps=50.0).timing(None) == Timing(0.0, 0.02)
    assert Hardware(profile="phone-fl").timing(None).seconds(1) == 0.005


def test_samples_of_a_time_that_is_too_short():
    timing = Timing(overhead_s=1.0, compute_s=0.1, memory_fixed_s=0.5, memory_s=0.0)
    # Computing could begin at 1, but the parameters have been moved at 1.5 only.
    assert [timing.samples(time_s) for time_s in (0.0, 0.9, 1.0, 1.4)] == [0, 0, 0, 0]
    assert timing.samples(1.5) == pytest.approx(5)
    assert Timing(0.0, 0.0, 0.5, 0.1).samples(0.4) == 0
    assert Timing(0.0, 0.0, 0.5, 0.1).samples(0.8) == pytest.approx(3)


def test_samples_per_second_in_large_batches():
    for timing in (Timing(3.0, 0.1, 5.0, 0.02), Timing(0.0, 0.02, 0.0, 0.1)):
        assert timing.speed_sps == 10
        assert 1e9 / timing.seconds(10**9) == pytest.approx(10, rel=1e-6)


# Times from 1 us to 100 s, so that sums of them keep 8 digits of the smallest; or none.
times_s = st.floats(1e-6, 100)
some_times_s = st.one_of(st.just(0.0), times_s)
timings = st.builds(Timing, some_times_s, times_s, some_times_s, times_s, some_times_s)


@given(timings, st.integers(1, 10**6))
def test_samples_are_the_inverse_of_seconds(timing, batch):
    assert timing.samples(timing.seconds(batch)) == pytest.approx(batch, rel=1e-6)


@given(times_s, st.integers(1, 10**6))
def test_samples_are_the_inverse_of_seconds_where_a_speed_is_given(compute_s, batch):
    timing = Timing(0.0, compute_s)
    assert timing.samples(timing.seconds(batch)) == pytest.approx(batch, rel=1e-12)


@given(timings, st.floats(1e-3, 1e4))
def test_so_many_samples_fit_and_not_one_more(timing, time_s):
    samples = timing.samples(time_s)
    assert samples >= 0
    if samples > 0:
        # seconds() takes whole numbers in the simulator, and others as well.
        assert timing.seconds(samples) <= time_s * (1 + 1e-9)
    assert timing.seconds(samples * (1 + 1e-6) + 1e-6) > time_s * (1 - 1e-12)


# Profiles, files, overrides.


@pytest.mark.parametrize("name", profiles.names("hardware"))
def test_every_profile_makes_a_machine(name):
    machine = cluster_of(workers=3, hardware={"profile": name}).hardware[0]
    table = machine.table()
    assert table.pop("name") == name
    stored = profiles.read("hardware", name)
    if "stragglers" in stored:
        stored["stragglers"] = StragglerModel.parse(stored["stragglers"]).table()
    assert table == stored
    # 1 MFLOP a sample takes a Pi 4 up to 1 ms, an H100 well below 1 us.
    assert 1e-8 < machine.timing(COST).seconds(1) < 0.1


def test_profiles_with_counts_are_dealt_in_turn():
    cluster = cluster_of(
        hardware=[
            {"profile": "t4", "count": 2},
            {"profile": "raspberry-pi-4", "count": 3, "name": "edge"},
            {"speed_sps": 7.0, "count": 1},
        ]
    )
    assert cluster.size == 6
    assert cluster.needs_cost()
    fleet = cluster.fleet(COST)
    assert [group.count for group in fleet.groups] == [2, 3, 1]
    names = [group.hardware.name for group in fleet.workers()]
    assert names == ["t4", "t4", "edge", "edge", "edge", None]


def test_one_kind_without_a_count_is_for_all():
    for hardware in ({"profile": "t4"}, [{"profile": "t4"}], {"profile": "t4", "count": 5}):
        (group,) = cluster_of(workers=5, hardware=hardware).fleet(COST).groups
        assert (group.count, group.hardware.name) == (5, "t4")


def test_numbers_given_override_the_profiles():
    stored = profiles.read("hardware", "t4")
    whole = Hardware(profile="t4", efficiency=0.1, overhead_s=0.5, name="mine").resolved()
    assert (whole.efficiency, whole.overhead_s, whole.name) == (0.1, 0.5, "mine")
    assert whole.peak_flops_per_s == stored["peak_flops_per_s"]
    assert whole.profile is None
    # A speed that is simply given takes the place of a roofline, and the other way round.
    assert Hardware(profile="t4", speed_sps=3.0).timing(None).speed_sps == pytest.approx(3)
    roofline = {"peak_flops_per_s": 1e9, "memory_bytes_per_s": 1e12}
    machine = Hardware(profile="phone-fl", **roofline)
    assert machine.resolved().speed_sps is None
    assert machine.timing(COST).seconds(1000) == pytest.approx(1.0)
    assert machine.resolved().stragglers.kind == "lognormal"
    own = Hardware(profile="phone-fl", stragglers=NoStragglers())
    assert own.resolved().stragglers == NoStragglers()


def test_a_profile_of_ones_own(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        "# Mine.\nname = 'lab'\nspeed_sps = 30.0\nstragglers = {kind = 'bimodal', factor = 3.0}\n"
    )
    (group,) = (
        cluster_of(workers=2, hardware={"file": str(path), "overhead_s": 0.1}).fleet(None).groups
    )
    assert group.hardware.name == "lab"
    assert group.timing == Timing(0.1, 1 / 30)
    assert group.stragglers.table()["factor"] == 3.0


def test_a_machines_own_stragglers_come_before_the_clusters():
    fleet = cluster_of(
        hardware=[{"profile": "phone-fl", "count": 1}, {"speed_sps": 1.0, "count": 1}],
        stragglers="exponential",
    ).fleet(None)
    assert [group.stragglers.kind for group in fleet.groups] == ["lognormal", "exponential"]


def test_without_hardware_speeds_are_samples_per_second():
    fleet = cluster_of(
        workers=3, stragglers={"kind": "uniform-speed", "low": 10, "high": 90}
    ).fleet(None)
    assert fleet.mean_speed_sps() == 50
    assert [group.count for group in fleet.groups] == [3]


@pytest.mark.parametrize(
    "cluster",
    [
        {"hardware": [{"profile": "t4", "count": 2}, {"profile": "phone-fl", "count": 2}]},
        {"workers": 4, "hardware": {"profile": "v100", "efficiency": 0.2, "up_bps": 1e6}},
        {"workers": 4, "hardware": {"speed_sps": 3.0, "stragglers": "markov"}},
        {"workers": 4, "hardware": {"profile": "phone-fl", **MACHINE}},
        {"workers": 4, "hardware": {"profile": "t4", "speed_sps": 2.0, "overhead_s": 0.5}},
        {"workers": 4, "stragglers": {"kind": "pareto", "persistent": True}},
        {"workers": 4, "hardware": {"speed_sps": 3}, "charge_memory": False},
    ],
    ids=str,
)
def test_a_stored_scenario_reads_back_to_the_same_fleet(cluster):
    scenario = desim.from_table(scenario_table(**cluster))
    stored = scenario.table()
    assert "profile" not in str(stored)
    again = desim.from_table(tomllib.loads(tomli_w.dumps(stored)))
    assert again.table() == stored
    one, other = (s.cluster.fleet(COST).groups for s in (scenario, again))
    assert one == other
    # Another value elsewhere leaves it alone.
    changed = scenario.with_values({"stop.rounds": 7})
    assert changed.cluster.table() == scenario.cluster.table()


# In the simulator.

SOFTMAX = problem(dataset="digits", model="softmax")
TWO_KINDS = [
    {**MACHINE, "overhead_s": 0.01, "count": 2},
    {"peak_flops_per_s": 1e6, "memory_bytes_per_s": 1e9, "count": 1},
    {"speed_sps": 40.0, "overhead_s": 0.25, "count": 1},
]


def times_by_hand_s(batch):
    """Of each of the 4 workers, from the numbers above."""
    cost = SOFTMAX.cost(Streams(0))
    traffic = cost.bytes_fixed + batch * cost.bytes_per_sample
    flops = cost.flops_fixed + batch * cost.flops_per_sample
    first = 0.01 + max(flops / 0.5e9, traffic / 1e6)
    assert traffic / 1e6 > flops / 0.5e9
    second = max(flops / 1e6, traffic / 1e9)
    assert flops / 1e6 > traffic / 1e9
    return [first, first, second, 0.25 + batch / 40]


def test_durations_of_a_cluster_of_several_kinds():
    trial = simulate(
        setting({"kind": "dsgd", "batch": 30}, workers=4, hardware=TWO_KINDS, problem=SOFTMAX)
    )
    for worker, expected_s in enumerate(times_by_hand_s(30)):
        rows = trial.rows("compute", worker)
        assert len(rows) == 3
        np.testing.assert_allclose(rows.end_s - rows.start_s, expected_s, rtol=1e-9)
    assert trial.outcome.time_s == pytest.approx(3 * max(times_by_hand_s(30)))


def test_durations_are_divided_by_the_stragglers_speed():
    twice = {"kind": "uniform-speed", "low": 2.0, "high": 2.0}
    trial = simulate(
        setting(
            {"kind": "dsgd", "batch": 30},
            workers=4,
            hardware=TWO_KINDS,
            stragglers=twice,
            problem=SOFTMAX,
        )
    )
    found_s = [trial.spans("compute", i)[0][1] for i in range(4)]
    assert found_s == pytest.approx([time_s / 2 for time_s in times_by_hand_s(30)])


def test_batches_by_a_deadline_of_a_cluster_of_several_kinds():
    method = {"kind": "quantimed-dsgd", "expected_batch": 2000.0}
    run = setting(method, workers=4, hardware=TWO_KINDS, problem=SOFTMAX)
    trial = simulate(run)
    deadline_s = run.cluster.fleet(SOFTMAX.cost(Streams(0))).deadline_s(2000.0)
    rows = trial.rows("compute")
    np.testing.assert_allclose(rows.end_s - rows.start_s, deadline_s, rtol=1e-9)
    batches = [trial.rows("compute", i).samples.iloc[0] for i in range(4)]
    for worker, batch in enumerate(batches):
        assert times_by_hand_s(batch)[worker] <= deadline_s * (1 + 1e-9)
        assert times_by_hand_s(batch + 1)[worker] > deadline_s
    # 2000 in the mean, less than one of which is lost to rounding down.
    assert 1999 < np.mean(batches) <= 2000
    assert len(set(batches)) == 3


def test_a_fleet_of_equal_machines_is_as_one_without_hardware():
    stragglers = {"kind": "uniform-speed", "low": 0.5, "high": 1.5}
    method = {"kind": "dsgd", "batch": 20}
    alone = simulate(setting(method, stragglers=stragglers))
    fifty = simulate(setting(method, stragglers=stragglers, hardware={"speed_sps": 50.0}))
    assert alone.outcome.time_s == pytest.approx(50 * fifty.outcome.time_s)


def test_a_cluster_built_in_code_is_the_one_of_its_table():
    cluster = Cluster(hardware=(Hardware(profile="t4", count=2), Hardware(speed_sps=3.0, count=1)))
    assert Cluster(**cluster.table()).fleet(COST).groups == cluster.fleet(COST).groups
