"""Faults and timeouts that break a rule: one line with key, value and rule."""

from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from complaints import assert_refused, under
from tiny import Call, Table, tiny

import desim as package


def outage(**changes: Any) -> Table:
    """An outage of worker 1."""
    return {"worker": 1, "down_s": 1, "up_s": 3} | changes


def failure(**changes: Any) -> Table:
    """An outage of the link between workers 0 and 1."""
    return {"between": [0, 1], "down_s": 1, "up_s": 3} | changes


BY_SHAPE = "must be a list, one table for each outage, or {mean_up_s, mean_down_s}"
TWO = "must be the numbers of two different workers, [a, b]"
OVERLAPS = "overlaps with the same one's outage"

FAULTS = under(
    "faults",
    [
        # workers
        (
            {"workers": [outage(), outage(worker=9)]},
            ".workers.1.worker = 9: the cluster has 4 workers, numbered from 0",
        ),
        (
            {"workers": [outage(worker=-1)]},
            ".workers.0.worker = -1: must be greater than or equal to 0",
        ),
        ({"workers": [outage(worker="1")]}, ".workers.0.worker = '1': must be a valid integer"),
        ({"workers": [{"down_s": 1}]}, ".workers.0.worker: is missing"),
        ({"workers": [{"worker": 1}]}, ".workers.0.down_s: is missing"),
        ({"workers": [outage(up_s=0.5)]}, ".workers.0.up_s = 0.5: must be later than down_s = 1"),
        ({"workers": [outage(up_s=1)]}, ".workers.0.up_s = 1: must be later than down_s = 1"),
        (
            {"workers": [outage(down_s=-3)]},
            ".workers.0.down_s = -3: must be greater than or equal to 0, in seconds",
        ),
        (
            {"workers": [outage(down_s="3")]},
            ".workers.0.down_s = '3': must be a valid number, in seconds",
        ),
        (
            {"workers": [outage(down_s=nan)]},
            ".workers.0.down_s = nan: must be a finite number, in seconds",
        ),
        (
            {"workers": [outage(up_s=inf)]},
            ".workers.0.up_s = inf: must be a finite number, in seconds",
        ),
        ({"workers": [outage(up=2)]}, ".workers.0.up = 2: unknown key; did you mean 'up_s'?"),
        ({"workers": [3]}, ".workers.0 = 3: must be a table"),
        ({"workers": 3}, f".workers = 3: {BY_SHAPE}"),
        ({"workers": "all"}, f".workers = 'all': {BY_SHAPE}"),
        # a single outage that stands in no list
        ({"workers": {"worker": 1}}, f".workers = {{'worker': 1}}: {BY_SHAPE}"),
        # outages that overlap or touch
        (
            {"workers": [outage(), outage(worker=2), outage(down_s=2, up_s=4)]},
            f".workers.2.down_s = 2: {OVERLAPS} workers.0, from 1 s to 3 s; must begin after it",
        ),
        (
            {"workers": [outage(down_s=2, up_s=4), outage()]},
            f".workers.0.down_s = 2: {OVERLAPS} workers.1, from 1 s to 3 s; must begin after it",
        ),
        (
            {"workers": [outage(), outage(down_s=3, up_s=4)]},
            f".workers.1.down_s = 3: {OVERLAPS} workers.0, from 1 s to 3 s; must begin after it",
        ),
        (
            {"workers": [{"worker": 1, "down_s": 1}, outage(down_s=7, up_s=9)]},
            f".workers.1.down_s = 7: {OVERLAPS} workers.0, from 1 s on, for good; must begin after "
            "it",
        ),
        # random ones
        (
            {"workers": {"mean_up_s": 0, "mean_down_s": 1}},
            ".workers.mean_up_s = 0: must be greater than 0, in seconds",
        ),
        (
            {"links": {"mean_up_s": 1, "mean_down_s": -1}},
            ".links.mean_down_s = -1: must be greater than 0, in seconds",
        ),
        (
            {"workers": {"mean_up_s": "long", "mean_down_s": 1}},
            ".workers.mean_up_s = 'long': must be a valid number, in seconds",
        ),
        (
            {"workers": {"mean_up_s": inf, "mean_down_s": 1}},
            ".workers.mean_up_s = inf: must be a finite number, in seconds",
        ),
        (
            {"workers": {"mean_up_s": 1}},
            ".workers.mean_down_s: is missing",
        ),
        (
            {"workers": {"mean_up": 1, "mean_down_s": 1}},
            ".workers.mean_up = 1: unknown key; did you mean 'mean_up_s'?",
        ),
        # links
        ({"links": [failure(between=[1, 1])]}, f".links.0.between = [1, 1]: {TWO}"),
        ({"links": [failure(between=[1])]}, f".links.0.between = [1]: {TWO}"),
        ({"links": [failure(between=[0, 1, 2])]}, f".links.0.between = [0, 1, 2]: {TWO}"),
        ({"links": [failure(between=1)]}, f".links.0.between = 1: {TWO}"),
        (
            {"links": [failure(between=[0, 9])]},
            ".links.0.between = 9: the cluster has 4 workers, numbered from 0",
        ),
        (
            {"links": [failure(between=[0, -1])]},
            ".links.0.between.1 = -1: must be greater than or equal to 0",
        ),
        (
            {"links": [failure(between=["a", 1])]},
            ".links.0.between.0 = 'a': must be a valid integer",
        ),
        ({"links": [{"down_s": 1}]}, ".links.0.between: is missing"),
        ({"links": [failure(up_s=0.5)]}, ".links.0.up_s = 0.5: must be later than down_s = 1"),
        (
            {"links": [failure(), failure(between=[1, 0], down_s=2)]},
            f".links.1.down_s = 2: {OVERLAPS} links.0, from 1 s to 3 s; must begin after it",
        ),
        (
            {"links": [outage()]},
            ".links.0.worker = 1: unknown key; choose from down_s, up_s, between",
        ),
        # the rest
        ({"model": "forget"}, ".model = 'forget': must be 'keep' or 'reset'"),
        ({"bogus": 1}, ".bogus = 1: unknown key; choose from workers, links, model"),
    ],
)

BOTH = "give a timeout_s with 'skip', and only then"
ABSENT = under(
    "algorithms.0",
    [
        ({"absent": "skip"}, f".absent = 'skip', timeout_s = None: {BOTH}"),
        ({"absent": "wait", "timeout_s": 1.0}, f".absent = 'wait', timeout_s = 1.0: {BOTH}"),
        ({"timeout_s": 1.0}, f".absent = 'wait', timeout_s = 1.0: {BOTH}"),
        ({"absent": "skip", "timeout_s": 0}, ".timeout_s = 0: must be greater than 0, in seconds"),
        ({"absent": "skp"}, ".absent = 'skp': must be 'wait' or 'skip'"),
    ],
)


@pytest.mark.parametrize(("changes", "line"), FAULTS + ABSENT, ids=lambda value: str(value)[:70])
def test_a_broken_rule_is_one_clear_line(
    changes: Table, line: str, desim: Call, tmp_path: Path
) -> None:
    assert_refused(changes, line, desim, tmp_path)


def test_two_mistakes_are_two_lines() -> None:
    changes = {"faults.workers": [outage(down_s=-1), outage(worker=-1)], "network.link.loss": 2}
    with pytest.raises(package.ScenarioError) as error:
        package.from_table(tiny(changes))
    assert [line.partition(" = ")[0] for line in str(error.value).splitlines()] == [
        "network.link.loss",
        "faults.workers.0.down_s",
        "faults.workers.1.worker",
    ]


@pytest.mark.parametrize("kind", ["d2", "dsgt", "sgp"])
def test_a_reset_is_refused_where_others_rely_on_what_is_lost(kind: str) -> None:
    step_size = {"kind": "constant", "alpha": 0.5}
    method = {"kind": kind, "batch": 5, "step_size": step_size}
    changes = {"faults": {"workers": [outage()], "model": "reset"}, "algorithms.0": method}
    with pytest.raises(package.ScenarioError, match=f"'reset': {kind} relies on what workers keep"):
        package.from_table(tiny(changes))
    assert package.from_table(tiny(changes | {"faults.model": "keep"}))


def test_epsilon_is_refused_where_it_has_no_meaning() -> None:
    step_size = {"kind": "constant", "alpha": 0.5, "epsilon": 0.3}
    method = {"kind": "sync-sgd", "batch": 5, "step_size": step_size}
    with pytest.raises(package.ScenarioError, match="sync-sgd has no consensus step; give alpha"):
        package.from_table(tiny({"algorithms.0": method}))


def test_values_that_are_set_by_dotted_keys_are_checked_as_well() -> None:
    scenario = package.from_table(tiny({"faults.workers": [outage()]}))
    assert scenario.with_values({"faults.workers.0.up_s": 9.0}).faults is not None
    for key, value, line in [
        ("faults.workers.0.up_s", 0.5, "faults.workers.0.up_s = 0.5: must be later than down_s"),
        ("faults.workers", 3, f"faults.workers = 3: {BY_SHAPE}"),
        ("network.link.loss", 1.0, "network.link.loss = 1.0: must be less than 1"),
        ("network.link.profile", "egde", "network.link.profile = 'egde': no such profile; did"),
    ]:
        with pytest.raises(package.ScenarioError) as error:
            scenario.with_values({key: value})
        assert str(error.value).startswith(line)


def test_an_outage_of_a_link_that_the_graph_does_not_have_is_harmless() -> None:
    # Graphs may be drawn anew for each seed, and the link may be there for another one.
    plans = [
        package.plan(package.from_table(tiny(changes)), train=False)
        for changes in ({}, {"faults.links": [failure(between=[0, 2])]})
    ]
    assert plans[0].methods == plans[1].methods
