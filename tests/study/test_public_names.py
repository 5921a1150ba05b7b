"""What `import desim` and `desim.analysis` offer is there and is explained."""

import ast
import inspect
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

import desim
from desim import analysis
from desim.schema.registry import Table

NAMES = [(package, name) for package in (desim, analysis) for name in package.__all__]


@pytest.mark.parametrize(("package", "name"), NAMES, ids=[name for _, name in NAMES])
def test_public_name(package: ModuleType, name: str) -> None:
    value = getattr(package, name)
    assert name in dir(package)
    if inspect.isclass(value) or inspect.isfunction(value):
        own = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
        assert own, f"{name} has no docstring of its own"
        assert len(own.splitlines()[0]) > 10


@pytest.mark.parametrize("package", [desim, analysis], ids=lambda package: package.__name__)
def test_the_stub_is_the_one_list(package: ModuleType) -> None:
    stub = ast.parse(Path(package.__path__[0], "__init__.pyi").read_text(encoding="utf-8"))
    imported = {
        alias.asname
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(package.__all__) - {"__version__"} == imported
    with pytest.raises(AttributeError, match="nonsense"):
        package.nonsense  # noqa: B018


@pytest.mark.parametrize(
    "table",
    [
        value
        for name in desim.__all__
        if inspect.isclass(value := getattr(desim, name)) and issubclass(value, Table)
    ],
)
def test_every_field_of_a_public_table_is_explained(table: type[Table]) -> None:
    explained = " ".join(inspect.getdoc(cls) or "" for cls in table.__mro__)
    for name in table.model_fields:
        assert name in explained, f"{table.__name__}.{name}"


def test_what_extensions_need_is_public() -> None:
    """The base of every axis, and what the methods of these bases are given."""
    wanted = {"Ref", "Streams", "Weights", "Fleet", "Received", "Law", "Deadline", "Averaging"}
    wanted |= {"Metric", "Evaluation", "StopRule", "Row", "StepSize", "Worker", "Message"}
    wanted |= {"ReportFigure", "FigureData", "Drawing"}
    assert wanted <= set(desim.__all__)


def test_the_version_is_the_packages() -> None:
    assert desim.__version__ == metadata.version("desim")
