import numpy as np
import pandas as pd
import pytest

from desim import analysis

T_QUANTILE_2 = 4.302652730  # 97.5 % of Student's t with 2 degrees of freedom, from tables
TARGETS = [2 * np.exp(-1), 2 * np.exp(-2)]


def compared(made, targets=None, **more):
    schema = analysis.load_schema(made.folder)
    return analysis.compare(analysis.load(made.folder), schema, targets, **more)


def row(table: pd.DataFrame, algorithm: str, target: float) -> pd.Series:
    near = np.isclose(table["target"], target)
    (found,) = table[near & (table["algorithm"] == algorithm)].to_dict("records")
    return found


def test_speedup_is_the_geometric_mean_of_paired_ratios_with_its_t_interval(fabricate):
    made = fabricate("slow", "fast")
    own = {0: 5.0, 1: 5.5, 2: 4.0}
    for seed, tau_s in own.items():
        made.decay("slow", seed, 10.0 + seed)
        made.decay("fast", seed, tau_s)
    table = compared(made, TARGETS)
    logs = np.log([10 / 5.0, 11 / 5.5, 12 / 4.0])
    half = T_QUANTILE_2 * logs.std(ddof=1) / np.sqrt(3)
    found = row(table, "fast", TARGETS[1])
    assert found["speedup"] == pytest.approx(np.exp(logs.mean()))
    assert found["speedup_low"] == pytest.approx(np.exp(logs.mean() - half))
    assert found["speedup_high"] == pytest.approx(np.exp(logs.mean() + half))
    assert (found["pairs"], found["reached"], found["seeds"]) == (3, 3, 3)
    assert found["time_s"] == pytest.approx(2 * (5.0 + 5.5 + 4.0) / 3)
    assert (found["time_low_s"], found["time_high_s"]) == pytest.approx((8.0, 11.0))
    base = row(table, "slow", TARGETS[0])
    assert (base["speedup"], base["speedup_low"], base["baseline"]) == (1.0, 1.0, "slow")


def test_another_baseline_turns_the_ratio_round(fabricate):
    made = fabricate("slow", "fast")
    made.decay("slow", 0, 10.0)
    made.decay("fast", 0, 5.0)
    table = compared(made, TARGETS, baseline="fast")
    assert row(table, "slow", TARGETS[0])["speedup"] == pytest.approx(0.5)


def test_one_pair_has_no_interval(fabricate):
    made = fabricate("slow", "fast")
    made.decay("slow", 0, 10.0)
    made.decay("fast", 0, 5.0)
    found = row(compared(made, TARGETS), "fast", TARGETS[0])
    assert found["speedup"] == pytest.approx(2.0)
    assert np.isnan(found["speedup_low"])
    assert np.isnan(found["speedup_high"])


def test_only_seeds_in_which_both_reached_the_target_are_paired(fabricate):
    made = fabricate("slow", "fast")
    for seed, evaluations in ((0, 9), (1, 4)):  # seed 1 of the baseline stops at 1.5 tau
        made.decay("slow", seed, 10.0, evaluations)
        made.decay("fast", seed, 5.0)
    made.decay("fast", 7, 1.0)  # a seed that the baseline did not run
    table = compared(made, TARGETS)
    fast, slow = (row(table, label, TARGETS[1]) for label in ("fast", "slow"))
    assert (fast["seeds"], fast["reached"], fast["pairs"]) == (3, 3, 1)
    assert (slow["seeds"], slow["reached"]) == (2, 1)
    assert fast["speedup"] == pytest.approx(2.0)


def test_a_target_that_nobody_else_reached_has_no_speedup(fabricate):
    made = fabricate("slow", "fast")
    made.decay("slow", 0, 10.0, evaluations=2)
    made.decay("fast", 0, 5.0)
    table = compared(made, TARGETS)
    fast, slow = (row(table, label, TARGETS[0]) for label in ("fast", "slow"))
    assert (fast["reached"], fast["pairs"], slow["reached"]) == (1, 0, 0)
    assert np.isnan([fast["speedup"], slow["speedup"], slow["time_s"], slow["bits"]]).all()


def test_pairs_stay_within_their_sweep_point(fabricate):
    made = fabricate("slow", "fast")
    for load, factor in ((1, 2.0), (2, 4.0)):
        for seed in (0, 1):
            made.decay("slow", seed, 10.0 * load, sweep={"cluster.load": load})
            made.decay("fast", seed, 10.0 * load / factor, sweep={"cluster.load": load})
    table = compared(made, TARGETS)
    fast = table[table["algorithm"] == "fast"]
    assert list(fast["cluster.load"]) == [1, 1, 2, 2]
    assert fast["speedup"].tolist() == pytest.approx([2.0, 2.0, 4.0, 4.0])
    assert (fast["pairs"] == 2).all()


def test_without_targets_the_whole_grid_is_compared(fabricate):
    made = fabricate("slow", "fast")
    made.decay("slow", 0, 10.0)
    made.decay("fast", 0, 5.0)
    table = compared(made)
    grid = analysis.target_grid(analysis.load(made.folder), analysis.load_schema(made.folder))
    assert table["target"].drop_duplicates().tolist() == pytest.approx(grid.tolist())
    # Both curves have the same shape, evaluated at the same points of it.
    assert table.loc[table["algorithm"] == "fast", "speedup"].to_numpy() == pytest.approx(2.0)


def test_an_unknown_baseline_is_refused_with_those_there_are(fabricate):
    made = fabricate("slow", "fast")
    made.decay("slow", 0, 10.0)
    with pytest.raises(
        analysis.ResultsError,
        match=r"baseline = 'SGD': must be an algorithm's label; choose from slow",
    ):
        compared(made, TARGETS, baseline="SGD")
