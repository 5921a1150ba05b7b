"""Scenarios: what to simulate, read from TOML or built in code."""

import itertools
import tomllib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import Field, ValidationError, model_validator

from desim.algorithms.base import Algorithm
from desim.errors import ScenarioError
from desim.registry import Table, explain, short, suggest
from desim.simulation import Cluster, Evaluate, NetworkTable, Setting, Stop
from desim.tensors.problem import Problem

Seed = Annotated[int, Field(ge=0, strict=True)]
Point = dict[str, Any]


class Trial(NamedTuple):
    """One simulation of a study.

    Attributes:
        name: its folder's name.
        point: the sweep's values by dotted key; empty without a sweep.
        setting: what is simulated.
    """

    name: str
    point: Point
    setting: Setting


class Scenario(Table):
    """Algorithms to compare on one problem, cluster and network.

    Attributes:
        name: names the results folder: letters, digits, '.', '_', '-' and '/'.
        seeds: one trial of each algorithm per seed.
        problem, cluster, network, stop, evaluate: see `desim show` on each.
        algorithms: the methods; each is known by its label.
        sweep: dotted keys and the values that each takes, all crossed.
    """

    name: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$")
    ]
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, strict=False)]
    problem: Problem
    cluster: Cluster
    network: NetworkTable
    stop: Stop
    evaluate: Evaluate
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1, strict=False)]
    sweep: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        labels = [algorithm.name for algorithm in self.algorithms]
        for kind, values in (("algorithms.label", labels), ("seeds", self.seeds)):
            twice = next((v for v in values if list(values).count(v) > 1), None)
            if twice is not None:
                raise ScenarioError(f"{kind} = {twice!r}: must differ, it stands there twice")
        for i, algorithm in enumerate(self.algorithms):
            try:
                algorithm.step_size.at(self.stop.rounds)
            except ScenarioError as error:
                raise ScenarioError(f"algorithms.{i}.{error}") from None
        return self

    def with_values(self, values: Mapping[str, Any]) -> "Scenario":
        """A copy with other values at some dotted keys.

        Args:
            values: by dotted key, such as "cluster.workers" or "algorithms.0.batch"; an algorithm
                is named by its place or label, or '*' for all.

        Raises:
            ScenarioError: no such key, or a value that breaks its rule.
        """
        changed: Scenario = self
        for key, value in values.items():
            changed = _replaced(changed, key.split("."), value, key)
        return changed

    def points(self) -> list[Point]:
        """All combinations of the sweep's values; one empty point without a sweep."""
        return [
            dict(zip(self.sweep, values, strict=True))
            for values in itertools.product(*self.sweep.values())
        ]

    def trials(self) -> Iterator[Trial]:
        """All trials: points, algorithms and seeds, in this order.

        Raises:
            ScenarioError: a value of the sweep breaks a rule.
        """
        points = self.points()
        width = len(str(len(points) - 1))
        for number, point in enumerate(points):
            scenario = self.with_values(point)
            prefix = f"{number:0{width}d}-" if self.sweep else ""
            for algorithm, seed in itertools.product(scenario.algorithms, scenario.seeds):
                setting = Setting(
                    scenario.problem,
                    scenario.cluster,
                    scenario.network,
                    scenario.stop,
                    scenario.evaluate,
                    algorithm,
                    seed,
                )
                yield Trial(f"{prefix}{_slug(algorithm.name)}-seed{seed}", point, setting)


def from_table(table: Mapping[str, Any]) -> Scenario:
    """A scenario from plain tables, as TOML gives them.

    Raises:
        ScenarioError: a line for each rule that is broken.
    """
    try:
        scenario = Scenario.model_validate(dict(table))
    except ValidationError as error:
        raise ScenarioError("\n".join(explain(error))) from None
    for point in scenario.points():  # a sweep must not fail in the middle of a run
        scenario.with_values(point)
    return scenario


def read(name: str | Path) -> Scenario:
    """Reads a scenario from a path, or one of those that come with desim by its name.

    Raises:
        ScenarioError: there is none, it is no TOML, or it breaks a rule.
    """
    path = find(name)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: can't be read ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path}: is no TOML: {error}") from None
    return from_table(_anchored(table, path.resolve().parent))


def bundled() -> dict[str, Path]:
    """The scenarios that come with desim, by name."""
    folder = Path(str(resources.files("scenarios")))
    found = sorted(folder.rglob("*.toml"))
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in found}


def find(name: str | Path) -> Path:
    """The file behind a path or the name of a bundled scenario.

    Raises:
        ScenarioError: there is none.
    """
    path = Path(name)
    if path.is_file():
        return path
    known = bundled()
    if str(name) in known:
        return known[str(name)]
    raise ScenarioError(
        f"scenario {str(name)!r}: no such file, and none with this name comes with desim; "
        f"{suggest(str(name), list(known))}"
    )


def _anchored(table: Any, folder: Path) -> Any:
    """The table with every `file` made absolute: a relative one is meant from its folder."""
    if isinstance(table, dict):
        return {
            key: str(folder / value)
            if key == "file" and isinstance(value, str)
            else _anchored(value, folder)
            for key, value in table.items()
        }
    return [_anchored(item, folder) for item in table] if isinstance(table, list) else table


def _replaced(node: Any, path: list[str], value: Any, key: str) -> Any:
    """A copy of node with another value at a path below it; `key` is the whole path."""
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(node, tuple):
        chosen = _chosen(node, head, key)
        return tuple(
            _replaced(item, rest, value, key) if i in chosen else item
            for i, item in enumerate(node)
        )
    if node is None:
        return {head: _replaced(None, rest, value, key)}
    if not isinstance(node, Table):
        raise ScenarioError(f"{key}: has no {head!r} to set; its value here is {short(node)}")
    known = list(type(node).model_fields)
    if head not in known:
        raise ScenarioError(f"{key} = {short(value)}: unknown key; {suggest(head, known)}")
    fields = {name: getattr(node, name) for name in node.model_fields_set}
    fields[head] = _replaced(getattr(node, head), rest, value, key)
    try:
        return type(node).model_validate(fields)
    except ValidationError as error:
        prefix = key.split(".")[: len(key.split(".")) - len(path)]
        raise ScenarioError("\n".join(explain(error, ".".join(prefix)))) from None


def _chosen(items: tuple[Any, ...], head: str, key: str) -> list[int]:
    names = [item.name if isinstance(item, Algorithm) else str(item) for item in items]
    if head == "*":
        return list(range(len(items)))
    if head in names:
        return [names.index(head)]
    if head.isdecimal() and int(head) < len(items):
        return [int(head)]
    raise ScenarioError(
        f"{key}: {head!r} names none of them; use a place from 0 to {len(items) - 1}, '*' or one "
        f"of {', '.join(names)}"
    )


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in text).strip(".") or "trial"
