"""Whatever stands in a table: a Scenario or a ScenarioError, and a Scenario's table reads back."""

import copy
import tomllib
from contextlib import suppress
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import DROP, Table, paths, put

from desim.errors import ScenarioError
from desim.scenario.scenario import Scenario, bundled, from_table

QUICKSTART: Table = tomllib.loads(bundled()["quickstart"].read_text(encoding="utf-8"))

QUICK = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

WORDS = st.sampled_from(
    ["kind", "name", "low", "high", "file", "sweep", "ring", "dsgd", "constant", "nowhere:X", "*"]
)
SCALARS = (
    st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, 2, -1, 2**31, 2**64, 10**30])
    | st.floats()
    | st.text(max_size=8)
    | WORDS
    | st.dates()
    | st.datetimes()
    | st.times()
)
VALUES = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(WORDS | st.text(max_size=8), below, max_size=3)
    ),
    max_leaves=6,
)


PLACES = paths(QUICKSTART)


@st.composite
def mutants(draw: st.DrawFn) -> Table:
    """The quickstart with one to three places dropped, renamed or replaced."""
    table = copy.deepcopy(QUICKSTART)
    for _ in range(draw(st.integers(1, 3))):
        path = list(draw(st.sampled_from(PLACES)))
        how = draw(st.sampled_from(["drop", "rename", "replace", "add"]))
        new = [*path[:-1], draw(WORDS | st.text(max_size=8))]
        value: Any = draw(VALUES)
        try:
            if how in ("drop", "rename"):
                put(table, path, DROP)
            if how != "drop":
                put(table, path if how == "replace" else new, value)
        except (LookupError, TypeError, ValueError, AttributeError):
            pass  # an earlier change took the place away
    return table


def read(table: Table) -> Scenario | None:
    """What from_table makes of it, checked."""
    try:
        scenario = from_table(table)
    except ScenarioError as error:
        lines = str(error).split("\n")
        assert all(line.strip() for line in lines), lines
        assert len(set(lines)) == len(lines), lines
        return None
    assert isinstance(scenario, Scenario)
    return scenario


def check_round_trip(scenario: Scenario) -> None:
    text = tomli_w.dumps(scenario.table())
    again = from_table(tomllib.loads(text))
    assert again.table() == scenario.table()
    assert tomli_w.dumps(again.table()) == text


@QUICK
@given(mutants())
def test_mutants_of_the_quickstart(table: Table) -> None:
    scenario = read(table)
    if scenario is not None:
        check_round_trip(scenario)


@QUICK
@given(st.dictionaries(st.sampled_from(sorted(QUICKSTART)) | st.text(max_size=8), VALUES))
def test_arbitrary_tables(table: Table) -> None:
    read(table)


@QUICK
@given(st.sampled_from(PLACES), VALUES)
def test_other_values_at_dotted_keys(path: tuple[str, ...], value: object) -> None:
    scenario = from_table(QUICKSTART)
    with suppress(ScenarioError):
        check_round_trip(scenario.with_values({".".join(path): value}))


@pytest.mark.parametrize("name", list(bundled()))
def test_bundled_scenarios_read_back(name: str) -> None:
    check_round_trip(from_table(tomllib.loads(bundled()[name].read_text(encoding="utf-8"))))


def test_a_mutant_that_stays_valid_is_read() -> None:
    # Guards the tests above against refusing everything.
    changed = copy.deepcopy(QUICKSTART)
    put(changed, ["cluster", "workers"], 7)
    put(changed, ["sweep"], {"problem.l2": [0, 0.5], "algorithms.*.step_size.alpha": [1, 2]})
    scenario = read(changed)
    assert scenario is not None
    assert scenario.cluster.workers == 7
    check_round_trip(scenario)
