"""What `import desim` offers is there and is explained."""

import inspect

import pytest

import desim
from desim.schema.registry import Table


@pytest.mark.parametrize("name", desim.__all__)
def test_public_name(name: str) -> None:
    value = getattr(desim, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        own = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
        assert own, f"{name} has no docstring of its own"
        assert len(own.splitlines()[0]) > 10


def test_names_are_sorted_and_complete() -> None:
    assert desim.__all__ == sorted(set(desim.__all__))
    offered = {
        name
        for name, value in vars(desim).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert offered == set(desim.__all__)


@pytest.mark.parametrize(
    "table", [v for v in vars(desim).values() if inspect.isclass(v) and issubclass(v, Table)]
)
def test_every_field_of_a_public_table_is_explained(table: type[Table]) -> None:
    explained = " ".join(inspect.getdoc(cls) or "" for cls in table.__mro__)
    for name in table.model_fields:
        assert name in explained, f"{table.__name__}.{name}"
