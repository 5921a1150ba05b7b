"""Values at dotted keys, for `--set` and for sweeps: all are set before any rule is checked."""

import pytest
from tiny import tiny

import desim
from desim.errors import ScenarioError


def test_keys_that_depend_on_each_other_may_come_in_any_order() -> None:
    scenario = desim.from_table(tiny())  # low = 10, high = 90
    values = {"cluster.stragglers.low": 100, "cluster.stragglers.high": 200}
    for order in (values, dict(reversed(values.items()))):
        law = scenario.with_values(order).cluster.stragglers
        assert (law.low, law.high) == (100.0, 200.0)


def test_an_algorithm_by_place_label_or_star() -> None:
    scenario = desim.from_table(tiny())
    by_place = scenario.with_values({"algorithms.1.expected_batch": 9})
    by_label = scenario.with_values({"algorithms.QT.expected_batch": 9})
    assert by_place == by_label
    assert by_place.algorithms[0] == scenario.algorithms[0]
    both = scenario.with_values(
        {"algorithms.*.step_size.alpha": 2, "algorithms.QT.step_size.alpha": 3}
    )
    assert [a.step_size.at(0, 0.0) for a in both.algorithms] == [(2.0, 1.0), (3.0, 1.0)]


def test_an_item_of_a_plain_list_goes_by_its_place_not_by_its_value() -> None:
    scenario = desim.from_table(tiny({"problem.model.hidden": [1, 2]}))
    model = scenario.with_values({"problem.model.hidden.1": 5}).problem.model
    assert model.table()["hidden"] == [1, 5]


def test_whole_tables_and_what_is_below_them() -> None:
    scenario = desim.from_table(tiny())
    changed = scenario.with_values(
        {
            "network.link": {"kind": "dedicated", "bandwidth_bps": 1},
            "network.link.latency_s": {"low": 0.5, "high": 1},
            "problem.loss": "cross-entropy",
            "cluster.workers": 5,
        }
    )
    assert changed.network.link.table() == {
        "kind": "dedicated",
        "bandwidth_bps": 1.0,
        "latency_s": {"low": 0.5, "high": 1.0},
    }
    assert changed.cluster.workers == 5
    assert scenario.cluster.workers == 4


def test_what_was_not_named_stays_and_nothing_is_read_twice() -> None:
    scenario = desim.from_table(tiny())
    assert scenario.with_values({}) is scenario
    assert scenario.with_values({"cluster.workers": 4}).table() == scenario.table()
    assert scenario.with_values({"cluster.workers": 5}).problem is scenario.problem


def test_a_rule_between_two_keys_still_holds() -> None:
    scenario = desim.from_table(tiny())
    with pytest.raises(ScenarioError, match=r"^cluster.stragglers.high = 90: must be at least low"):
        scenario.with_values({"cluster.stragglers.low": 100, "cluster.workers": 5})
