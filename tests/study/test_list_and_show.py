"""`desim list` and `desim show` tell of every member that comes with desim."""

import importlib
import inspect
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import pytest
import tomli_w
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from tiny import Call

from desim.scenario.scenario import bundled
from desim.schema.registry import AXES, Member, find, first_line, members

ALL = [pytest.param(axis, kind, id=f"{axis}-{kind}") for axis in AXES for kind in members(axis)]
#: What is tried for a field without a default that no example of the member fills.
GUESSES = (1, 0.25, "edges.txt", [1, 2])


def filled(cls: type[Member], example: Mapping[str, Any]) -> dict[str, Any]:
    """An example with a value for every field that must be there."""
    table = dict(example)
    for name, field in cls.model_fields.items():
        if field.is_required() and name not in table:
            table[name] = guess(field)
    return table


def guess(field: FieldInfo) -> Any:
    cls = field.annotation
    if inspect.isclass(cls) and issubclass(cls, Member):
        kind, member = next(iter(members(cls.axis).items()))
        return {**filled(member, member.examples[0]), "kind": kind}
    reader = TypeAdapter(
        Annotated[(cls, field, *field.metadata)],
        config=ConfigDict(strict=True, allow_inf_nan=False),
    )
    for value in GUESSES:
        with suppress(ValidationError):
            reader.validate_python(value)
            return value
    raise AssertionError(f"no guess fits {field}; give the member examples")


@pytest.mark.parametrize(("axis", "kind"), ALL)
def test_every_member_is_listed_and_shown(
    axis: str, kind: str, desim: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    cls = members(axis)[kind]
    line = first_line(cls)
    assert len(line) > 10
    assert line.endswith((".", ":")) or inspect.getdoc(cls).split("\n\n")[0] != line
    listed = desim("list", axis)
    assert (listed.code, listed.err) == (0, "")
    assert any(row.split()[:1] == [kind] and line in row for row in listed.out.splitlines())
    shown = desim("show", kind)
    assert (shown.code, shown.err) == (0, "")
    assert f"{kind} ({axis})" in shown.out
    assert line in shown.out
    module = inspect.getdoc(inspect.getmodule(cls))
    assert module is not None
    assert module.splitlines()[0] in shown.out
    rows = [row.split()[:1] for row in shown.out.splitlines()]
    for name, field in cls.model_fields.items():
        assert [name] in rows
        if field.is_required():
            assert any(
                r.startswith(f" {name} ") and "required" in r for r in shown.out.splitlines()
            )


@pytest.mark.parametrize(("axis", "kind"), ALL)
def test_every_member_reads_its_own_table(axis: str, kind: str) -> None:
    cls = members(axis)[kind]
    base = [c for c in cls.__mro__ if issubclass(c, Member) and c.is_base()][-1]
    assert find(axis, kind) is cls
    assert cls.examples or "file" in cls.model_fields
    for example in cls.examples or [{"file": "speeds.csv"}]:
        member = base.parse({**filled(cls, example), "kind": kind})
        assert type(member) is cls
        table = tomllib.loads(tomli_w.dumps(member.table()))
        assert table["kind"] == kind
        # By their tables: that of a member with a profile holds the profile's numbers.
        assert base.parse(table).table() == member.table()
        # The long way to name the same class.
        named = base.parse({**table, "kind": f"{cls.__module__}:{cls.__qualname__}"})
        assert named.table() == member.table()


@pytest.mark.parametrize("axis", AXES)
def test_kinds_are_spelled_alike(axis: str) -> None:
    assert members(axis)
    for kind, cls in members(axis).items():
        assert kind == kind.lower()
        assert "_" not in kind
        assert cls.axis == axis


def test_everything_is_listed(desim: Call) -> None:
    out = desim("list").out
    words = out.split()
    for axis in AXES:
        assert axis in words
        for kind in members(axis):
            assert kind in words
    for name in bundled():
        assert name in words
        assert name in desim("list", "scenarios").out


@pytest.mark.parametrize("table", ["scenario", "problem", "cluster", "network", "stop", "evaluate"])
def test_tables_are_shown(table: str, desim: Call) -> None:
    shown = desim("show", table)
    assert (shown.code, shown.err) == (0, "")
    assert f"{table} (table)" in shown.out


def test_fields_of_a_base_are_explained_with_those_of_the_member(desim: Call) -> None:
    rows = [row.split(": ")[0].strip() for row in desim("show", "mnist").out.splitlines()]
    assert {"classes", "greyscale", "resize", "flatten", "standardise"} <= set(rows)
    assert {"folder", "train_on"} <= set(rows)


def test_a_kind_on_two_axes_is_shown_twice(desim: Call) -> None:
    out = desim("show", "none").out
    assert "none (compressors)" in out
    assert "none (stragglers)" in out


@pytest.mark.parametrize("axis", AXES)
def test_an_axis_folder_is_a_catalogue(axis: str) -> None:
    """Its base, a file for each member, and helpers, which say so by an underscore."""
    folder = Path(importlib.import_module(AXES[axis]).__path__[0])
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "base"}
    modules = {cls.__module__.rpartition(".")[2] for cls in members(axis).values()}
    assert {name for name in files if not name.startswith("_")} == modules
