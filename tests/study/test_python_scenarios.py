"""Tables made in Python: what is wrong with them is told as it is of a file's."""

import pickle
from typing import Any

import pytest
from pydantic import BaseModel, field_validator
from tiny import tiny

import desim
from desim.schema.registry import AXES, Table, members


def refused(cls: Any, **fields: Any) -> list[str]:
    with pytest.raises(desim.ScenarioError) as caught:
        cls(**fields)
    text = str(caught.value)
    assert "pydantic" not in text
    assert "Value error" not in text
    return text.splitlines()


def changed(key: str, value: Any) -> dict[str, Any]:
    """The small scenario's table with another value at a dotted key; ... takes it away."""
    table = tiny()
    at: Any = table
    *path, last = key.split(".")
    for part in path:
        at = at[int(part)] if isinstance(at, list) else at[part]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return table


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("algorithms.0.batch", ..., "algorithms.0.batch: is missing"),
        ("algorithms.0.batch", 0, "algorithms.0.batch = 0: must be greater than or equal to 1"),
        ("algorithms.0.step_size", {"kind": "constant"}, "algorithms.0.step_size.alpha: is miss"),
        ("algorithms.0.bach", 3, "algorithms.0.bach = 3: unknown key; did you mean 'batch'?"),
        ("algorithms", [], "algorithms = []: must have at least 1 item"),
        ("cluster.workers", 1, "cluster.workers = 1: must be greater than or equal to 2"),
        ("network.mixing", "metropols", "network.mixing.kind = 'metropols': no such kind; did you"),
        ("problem", ..., "problem: is missing"),
        ("stop", {}, "stop = {}: "),
    ],
)
def test_a_scenario_names_the_dotted_field_once(key: str, value: Any, said: str) -> None:
    table = changed(key, value)
    [line] = refused(desim.Scenario, **table)
    assert line.startswith(said)
    with pytest.raises(desim.ScenarioError) as caught:  # as from a file
        desim.scenario.scenario.from_table(table)
    assert str(caught.value) == line


def test_single_tables_and_members_name_their_own_fields() -> None:
    assert refused(desim.Cluster, workers=4) == [
        "Cluster: needs hardware (such as {speed_sps = 50.0}) or stragglers, to say how fast it is"
    ]
    assert refused(desim.Cluster, workers=1, hardware={"speed_sps": -1.0}) == [
        "workers = 1: must be greater than or equal to 2",
        "hardware.0.speed_sps = -1.0: must be greater than 0, in samples/s",
    ]
    [line] = refused(desim.Network, topology="ring", mixing="uniform", link={"kind": "fifo"})
    assert line.startswith("link = {}: needs a profile (desim list networks)")
    [line] = refused(desim.Problem, dataset="digits", model="cnnn", partition="iid")
    assert line.startswith("model.kind = 'cnnn': no such kind; ")


@pytest.mark.parametrize("axis", AXES)
def test_every_member_refuses_a_field_that_it_does_not_have(axis: str) -> None:
    for cls in members(axis).values():
        [line] = refused(cls, nobody_has_this=1)
        assert line.startswith("nobody_has_this = 1: unknown key; ")


def test_the_errors_travel_between_processes_and_are_value_errors_too() -> None:
    with pytest.raises(ValueError, match=r"^hardware\.0\.speed_sps = 'fast': must be") as caught:
        desim.Cluster(workers=4, hardware=[{"speed_sps": "fast"}])
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, desim.ScenarioError)
    assert str(again) == str(caught.value)


def test_inside_anothers_rules_the_outer_key_stands_in_front() -> None:
    class Outer(Table):
        """A table that makes another one while it is checked."""

        inner: Any = None

        @field_validator("inner")
        @classmethod
        def _made(cls, value: Any) -> Any:
            return desim.Cluster(workers=value, hardware={"speed_sps": 1.0})

    assert refused(Outer, inner=1) == ["inner.workers = 1: must be greater than or equal to 2"]
    assert isinstance(Outer(inner=3).inner, BaseModel)


def test_positional_arguments_and_sound_tables_are_pythons_own_matter() -> None:
    with pytest.raises(TypeError):
        desim.Cluster(4)
    assert desim.Scenario(**tiny()) == desim.scenario.scenario.from_table(tiny())
