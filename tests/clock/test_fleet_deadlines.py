"""Fleets: mean speeds, and T_d for a mean batch."""

import numpy as np
import pytest
from clusters import COST, MACHINE, scenario_table
from hypothesis import given
from hypothesis import strategies as st

import desim
from desim.clock.fleet import Fleet
from desim.clock.hardware import Hardware
from desim.clock.stragglers.base import StragglerModel
from desim.errors import ScenarioError
from desim.tensors.cost import Cost


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
    fleet((MACHINE, 2), (MACHINE | {"overhead_s": 2.0}, 3), ({"speed_sps": 9.0}, 1), cost=COST),
    fleet((MACHINE, 2), ({"profile": "h100"}, 3), cost=COST, stragglers="shifted-exponential"),
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
