"""Machines: a gradient's time by the roofline, fleets of several kinds, and T_d for them."""

import tomllib
from dataclasses import dataclass
from math import inf, nan

import numpy as np
import pytest
import tomli_w
from builders import problem, setting, simulate
from clusters import cluster_of, complaint, scenario_table
from hypothesis import given
from hypothesis import strategies as st

import desim
from desim import profiles
from desim.clock.fleet import Fleet
from desim.clock.hardware import Hardware, Timing
from desim.clock.stragglers.base import StragglerModel
from desim.clock.stragglers.none import NoStragglers
from desim.errors import ScenarioError
from desim.setting import Cluster
from desim.streams import Streams


@dataclass(frozen=True)
class Cost:
    """What a gradient costs, given."""

    flops_per_sample: float = 1e6
    bytes_per_sample: float = 4e3
    bytes_fixed: float = 2e5
    flops_fixed: float = 0.0
    operators: float = 0.0


# One machine's time.

#: At 1 GFLOP/s with efficiency 1/2 and 1 MB/s: 2 ms a sample of computing; 0.2 s and 4 ms a sample
#: of memory traffic.
MACHINE = {"peak_flops_per_s": 1e9, "efficiency": 0.5, "memory_bytes_per_s": 1e6}


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
    timing = Hardware(**(MACHINE | changes)).timing(Cost())
    assert timing.seconds(batch) == pytest.approx(seconds, rel=1e-12)
    assert timing.samples(seconds) == pytest.approx(batch, rel=1e-9)


def test_left_out_efficiency_is_1():
    table = {"peak_flops_per_s": 1e9, "memory_bytes_per_s": 1e12}
    assert Hardware(**table).timing(Cost()).seconds(1000) == pytest.approx(1.0)


def test_what_is_computed_for_each_gradient_counts_too():
    timing = Hardware(**(MACHINE | {"memory_bytes_per_s": 1e9})).timing(Cost(flops_fixed=1e9))
    assert timing.seconds(100) == pytest.approx(2.0 + 0.2)
    assert timing.samples(2.2) == pytest.approx(100)
    assert timing.samples(1.9) == 0


def test_operators_take_their_time_besides():
    machine = Hardware(**MACHINE, operator_s=1e-3, overhead_s=0.5)
    timing = machine.timing(Cost(operators=40))
    assert timing.seconds(1000) == pytest.approx(0.5 + 0.04 + 4.2)
    assert timing.samples(4.74) == pytest.approx(1000)
    # A speed that is simply given has them in it.
    given = Hardware(**MACHINE, operator_s=1e-3, speed_sps=50.0)
    assert given.timing(Cost(operators=40)).seconds(10) == pytest.approx(0.2)


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
    assert 1e-8 < machine.timing(Cost()).seconds(1) < 0.1


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
    fleet = cluster.fleet(Cost())
    assert [group.count for group in fleet.groups] == [2, 3, 1]
    names = [group.hardware.name for group in fleet.workers()]
    assert names == ["t4", "t4", "edge", "edge", "edge", None]


def test_one_kind_without_a_count_is_for_all():
    for hardware in ({"profile": "t4"}, [{"profile": "t4"}], {"profile": "t4", "count": 5}):
        (group,) = cluster_of(workers=5, hardware=hardware).fleet(Cost()).groups
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
    assert machine.timing(Cost()).seconds(1000) == pytest.approx(1.0)
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
    one, other = (s.cluster.fleet(Cost()).groups for s in (scenario, again))
    assert one == other
    # Another value elsewhere leaves it alone.
    changed = scenario.with_values({"stop.rounds": 7})
    assert changed.cluster.table() == scenario.cluster.table()


# What is refused.


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        (
            {"workers": 4},
            "cluster = {'workers': 4}: needs hardware (such as {speed_sps = 50.0}) or",
        ),
        ({"workers": 4, "hardware": []}, ": needs hardware (such as {speed_sps = 50.0}) or"),
        ({"workers": 4, "hardware": {}}, "cluster.hardware.0 = {}: needs a profile (desim list"),
        ({"workers": 4, "hardware": 3}, "cluster.hardware.0 = 3: must be a table"),
        ({"workers": 4, "hardware": "t4"}, "cluster.hardware.0 = 't4': must be a table"),
        # counts
        ({"hardware": {"speed_sps": 1.0}}, ": needs workers, or a count in each table of hardware"),
        (
            {"hardware": [{"speed_sps": 1.0, "count": 2}, {"speed_sps": 2.0}]},
            ": needs workers, or a count in each table of hardware",
        ),
        (
            {"workers": 4, "hardware": [{"speed_sps": 1.0, "count": 2}, {"speed_sps": 2.0}]},
            "cluster.hardware.1.count = None: must be given, as there are several",
        ),
        (
            {"workers": 4, "hardware": [{"speed_sps": 1.0, "count": 2}] * 3},
            "cluster.workers = 4: the counts of hardware add up to 6; must be as many, or leave",
        ),
        (
            {"workers": 4, "hardware": {"speed_sps": 1.0, "count": 3}},
            "cluster.workers = 4: the counts of hardware add up to 3; must be as many, or leave",
        ),
        (
            {"hardware": {"speed_sps": 1.0, "count": 1}},
            "cluster.workers = 1: the counts of hardware add up to that; must be from 2 to",
        ),
        (
            {"hardware": [{"speed_sps": 1.0, "count": 600_000}] * 2},
            "cluster.workers = 1200000: the counts of hardware add up to that; must be from 2",
        ),
        (
            {"hardware": {"speed_sps": 1.0, "count": 0}},
            "cluster.hardware.0.count = 0: must be greater than or equal to 1",
        ),
        (
            {"hardware": {"speed_sps": 1.0, "count": 2.0}},
            "cluster.hardware.0.count = 2.0: must be a valid integer",
        ),
        # numbers
        (
            {"workers": 4, "hardware": {"profile": "t4", "memory_bytes_per_s": 0}},
            "cluster.hardware.0.memory_bytes_per_s = 0: must be greater than 0",
        ),
        (
            {"workers": 4, "hardware": {"profile": "t4", "memory_bytes_per_s": nan}},
            "cluster.hardware.0.memory_bytes_per_s = nan: must be a finite number",
        ),
        (
            {"workers": 4, "hardware": {"profile": "t4", "peak_flops_per_s": inf}},
            "cluster.hardware.0.peak_flops_per_s = inf: must be a finite number",
        ),
        (
            {"workers": 4, "hardware": {"profile": "t4", "overhead_s": -0.5}},
            "cluster.hardware.0.overhead_s = -0.5: must be greater than or equal to 0, in seconds",
        ),
        (
            {"workers": 4, "hardware": {"profile": "t4", "efficiency": 1.5}},
            "cluster.hardware.0.efficiency = 1.5: must be less than or equal to 1",
        ),
        (
            {"workers": 4, "hardware": {"speed_sps": 0}},
            "cluster.hardware.0.speed_sps = 0: must be greater than 0, in samples/s",
        ),
        (
            {"workers": 4, "hardware": {"speed_sps": "3"}},
            "cluster.hardware.0.speed_sps = '3': must be a valid number, in samples/s",
        ),
        (
            {"workers": 4, "hardware": {"profile": "t4", "up_bps": -1.0}},
            "cluster.hardware.0.up_bps = -1.0: must be greater than 0, in bit/s",
        ),
        # what is missing, unknown or too much
        (
            {"workers": 4, "hardware": {"peak_flops_per_s": 1e9}},
            ": needs a profile (desim list hardware), speed_sps, or peak_flops_per_s and memory_b",
        ),
        (
            {"workers": 4, "hardware": {"profile": "phone-fl", "peak_flops_per_s": 1e9}},
            "cluster.hardware.0.profile = 'phone-fl': needs a profile (desim list hardware), speed",
        ),
        (
            {"workers": 4, "hardware": {"profile": "h1000"}},
            "cluster.hardware.0.profile = 'h1000': no such profile; did you mean 'h100'?",
        ),
        (
            {"workers": 4, "hardware": {"profile": 3}},
            "cluster.hardware.0.profile = 3: must be a valid string",
        ),
        (
            {"workers": 4, "hardware": {"profile": "t4", "file": "mine.toml"}},
            "cluster.hardware.0.profile = 't4', file = 'mine.toml': give one of them",
        ),
        (
            {"workers": 4, "hardware": {"profile": "t4", "overhead_ms": 1}},
            "cluster.hardware.0.overhead_ms = 1: unknown key; desim's units are seconds (_s)",
        ),
        (
            {"workers": 4, "hardware": {"speed_sps": 1.0, "stragglers": "expnential"}},
            "cluster.hardware.0.stragglers.kind = 'expnential': no such kind; did you mean 'expon",
        ),
        (
            {"workers": 4, "hardware": {"speed_sps": 1.0}, "charge_memory": True},
            "cluster.charge_memory = true: needs memory_bytes_per_s in hardware.0",
        ),
    ],
    ids=str,
)
def test_a_bad_cluster_is_one_clear_line(cluster, said):
    assert said in complaint(**cluster)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("speed_sps = -1.0\n", ": speed_sps = -1.0: must be greater than 0, in samples/s"),
        ("speed_sps = '3'\n", ": speed_sps = '3': must be a valid number, in samples/s"),
        ("speed_sps = nan\n", ": speed_sps = nan: must be a finite number, in samples/s"),
        ("sped_sps = 3.0\n", ": sped_sps = 3.0: unknown key; did you mean 'speed_sps'?"),
        ("peak_flops_per_s = 3e9\n", ": needs a profile (desim list hardware), speed_sps, or peak"),
        ("profile = 't4'\n", ": profile can't stand in a profile"),
        ("file = 'mine.toml'\n", ": file can't stand in a profile"),
        ("speed_sps = 1.0\ncount = 3\n", ": count can't stand in a profile"),
        (
            "speed_sps = 1.0\nstragglers = {kind = 'lognormal', sigma = -1}\n",
            ": stragglers.sigma = -1: must be greater than 0",
        ),
        ("speed_sps = 1.0\nstragglers = 'logn'\n", ": stragglers.kind = 'logn': no such kind; did"),
    ],
)
def test_a_bad_profile_of_ones_own_is_named_in_one_line(content, said, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(content)
    line = complaint(workers=2, hardware={"file": str(file)})
    assert line.startswith(f"cluster.hardware.0.file = {str(file)!r}{said}")


@pytest.mark.parametrize("content", [None, b"", b"a = = 3\n", b"\xff\xfe"])
def test_a_file_that_is_no_profile_is_named_in_one_line(content, tmp_path):
    file = tmp_path / "mine.toml"
    if content is not None:
        file.write_bytes(content)
    line = complaint(workers=2, hardware={"file": str(file)})
    assert line.startswith(f"cluster.hardware.0.file = {str(file)!r}: ")


# Fleets and T_d.


def fleet(*machines, cost=None, stragglers="none"):
    """(table, count) pairs."""
    return Fleet(
        [(Hardware(**table), count) for table, count in machines],
        StragglerModel.parse(stragglers),
        cost,
    )


def test_deadline_of_proportional_fleets_is_b_over_mean_speed():
    uniform = {"kind": "uniform-speed", "low": 10.0, "high": 90.0}
    one = fleet(({"speed_sps": 1.0}, 50), stragglers=uniform)
    assert one.proportional
    assert one.deadline_s(20.0) == 20 / 50
    # 3 workers at 10, one at 50 samples/s, which are slow for 1/10 of the time.
    two = fleet(({"speed_sps": 10.0}, 3), ({"speed_sps": 50.0}, 1), stragglers="bimodal")
    assert two.mean_speed_sps() == pytest.approx(20 * 0.91, rel=1e-12)
    assert two.deadline_s(26.0) == 26 / two.mean_speed_sps()
    # Own stragglers count for their own.
    own = fleet(
        ({"speed_sps": 10.0}, 1),
        ({"speed_sps": 10.0, "stragglers": StragglerModel.parse(uniform)}, 1),
    )
    assert own.mean_speed_sps() == pytest.approx((10 + 500) / 2)


def test_mean_speeds_that_are_known_for_each_worker_meet_their_own_machines(tmp_path):
    # Worker 0 has 100 samples/s at a tenth of the speed, worker 1 10 samples/s at full: 10 each.
    file = tmp_path / "speeds.csv"
    file.write_text("worker,start_s,speed\n0,0,0.1\n1,0,1\n")
    trace = {"kind": "trace", "file": str(file)}
    machines = ({"speed_sps": 100.0}, 1), ({"speed_sps": 10.0}, 1)
    assert fleet(*machines, stragglers=trace).mean_speed_sps() == pytest.approx(10)
    assert fleet(*machines, stragglers=trace).deadline_s(20) == pytest.approx(2)
    half = {"kind": "mixture", "models": [trace, "none"], "weights": [1, 1]}
    assert fleet(*machines, stragglers=half).mean_speed_sps() == pytest.approx((55 + 10) / 2)


def mean_batch(fleet, time_s):
    """At the deadline, for workers of mean speed, from the definition."""
    workers = fleet.workers()
    batches = [
        worker.timing.samples(time_s * worker.stragglers.mean_speed_of(i))
        for i, worker in enumerate(workers)
    ]
    return float(np.mean(batches))


MIXED = [
    fleet(({"speed_sps": 10.0, "overhead_s": 0.5}, 1), ({"speed_sps": 50.0}, 1)),
    fleet(({"speed_sps": 10.0, "overhead_s": 50.0}, 3), ({"speed_sps": 1.0}, 1)),
    fleet((MACHINE, 2), (MACHINE | {"overhead_s": 2.0}, 3), ({"speed_sps": 9.0}, 1), cost=Cost()),
    fleet((MACHINE, 2), ({"profile": "h100"}, 3), cost=Cost(), stragglers="shifted-exponential"),
    fleet(({"profile": "h100"}, 2), ({"profile": "h200"}, 2), cost=Cost(1e3, 10.0, 1e3)),
    fleet(({"profile": "t4", "overhead_s": 1e-30}, 2), cost=Cost(1e6, 1.0, 1e-9)),
]


@pytest.mark.parametrize("b", [0.01, 1.0, 20.0, 333.0, 1e5])
@pytest.mark.parametrize("mixed", MIXED, ids=range(len(MIXED)))
def test_deadline_of_mixed_fleets_gives_the_mean_batch(mixed, b):
    assert not mixed.proportional
    deadline_s = mixed.deadline_s(b)
    assert mean_batch(mixed, deadline_s) == pytest.approx(b, rel=1e-9)
    assert deadline_s >= b / mixed.mean_speed_sps() * (1 - 1e-12)


@given(
    st.lists(
        st.tuples(st.floats(0.1, 1e6), st.one_of(st.just(0.0), st.floats(1e-9, 10))),
        min_size=1,
        max_size=4,
    ),
    st.floats(1e-3, 1e6),
)
def test_deadline_of_any_fleet_gives_the_mean_batch(machines, b):
    any_fleet = fleet(
        *(({"speed_sps": speed_sps, "overhead_s": late_s}, 1) for speed_sps, late_s in machines)
    )
    deadline_s = any_fleet.deadline_s(b)
    # The deadline's own rounding counts as many samples as the fastest gets through meanwhile.
    rounding = 1e-15 * deadline_s * max(speed_sps for speed_sps, _ in machines)
    assert mean_batch(any_fleet, deadline_s) == pytest.approx(b, rel=1e-9, abs=rounding)


def test_a_mean_speed_that_is_infinite_or_zero_gives_no_deadline(tmp_path):
    endless = fleet(({"speed_sps": 3.0}, 2), stragglers="exponential")
    with pytest.raises(
        ScenarioError, match=r"^expected_batch = 20: E\[V\] isn't finite.*deadline_s$"
    ):
        endless.deadline_s(20.0)
    file = tmp_path / "speeds.csv"
    file.write_text("worker,start_s,speed\n0,0,0\n0,5,1\n1,0,0\n1,6,1\n")
    late = fleet(({"speed_sps": 3.0}, 2), stragglers={"kind": "trace", "file": str(file)})
    with pytest.raises(ScenarioError, match=r"^expected_batch = 20: E\[V\] is 0 .*deadline_s$"):
        late.deadline_s(20.0)
    table = scenario_table(workers=2, stragglers="exponential")
    table["algorithms"][0] |= {"kind": "quantimed-dsgd", "expected_batch": 20.0}
    del table["algorithms"][0]["batch"]
    with pytest.raises(ScenarioError, match=r"E\[V\] isn't finite") as error:
        desim.plan(desim.from_table(table))
    assert "\n" not in str(error.value)


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
    assert Cluster(**cluster.table()).fleet(Cost()).groups == cluster.fleet(Cost()).groups
