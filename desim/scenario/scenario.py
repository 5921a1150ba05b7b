"""Scenarios: what to simulate, read from TOML or built in code."""

import itertools
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from desim.algorithms.base import Algorithm
from desim.algorithms.parts.consensus import Consensus
from desim.analysis.figures.base import Report
from desim.clock.faults import Faults
from desim.errors import ScenarioError
from desim.scenario.bundled import bundled
from desim.scenario.setting import Cluster, Network, Setting
from desim.scenario.stopping import Evaluate, Stop, measured
from desim.schema.explain import explain
from desim.schema.paths import anchored
from desim.schema.phrases import short, spelled, suggest
from desim.schema.registry import Member, Table
from desim.step_sizes._checked import checked
from desim.tensors.problem import Problem

Seed = Annotated[int, Field(ge=0, lt=2**63, strict=True)]  # a column of the results holds it
Point = dict[str, Any]

#: The key of T, the number of rounds of a run.
HORIZON = "stop.rounds"


_NAMES_A_PROFILE = re.compile(r"(cluster\.hardware\.[^.]+|network\.link)\.(profile|file)")


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
        problem, cluster, network, faults, stop, evaluate: see `desim show` on each.
        algorithms: the methods; each is known by its label.
        sweep: dotted keys and the values that each takes, all crossed.
        report: what is drawn besides the figures that come with desim.
    """

    name: str
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, strict=False)]
    problem: Problem
    cluster: Cluster
    network: Network
    faults: Faults | None = None
    stop: Stop
    evaluate: Evaluate
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1, strict=False)]
    sweep: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)
    report: Report | None = None

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)*", name, re.ASCII):
            raise ValueError(
                "names the results folder: must be made of letters, digits, '_', '.', '-' and '/', "
                "and a letter, digit or '_' must stand first and after each '/'"
            )
        return name

    @field_validator("sweep")
    @classmethod
    def _crosses(cls, sweep: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for key, values in sweep.items():
            if key.partition(".")[0] in ("name", "seeds", "sweep", "report"):
                raise ValueError(
                    f"{key!r} can't be swept; keys below problem, cluster, network, faults, stop, "
                    "evaluate and algorithms can"
                )
            if _NAMES_A_PROFILE.fullmatch(key):
                # Results hold a profile's numbers, which would win over another profile's.
                raise ValueError(
                    f"{key!r} can't be swept; sweep the whole table, {key.rpartition('.')[0]!r} = "
                    "[{profile = ...}, ...]"
                )
            twice = next((v for v in values if values.count(v) > 1), None)
            if twice is not None:
                raise ValueError(f"{key!r} has {short(twice)} twice; its values must differ")
        return {key: _of_one_type(values) for key, values in sweep.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        labels = [algorithm.name for algorithm in self.algorithms]
        for kind, values in (("algorithms.label", labels), ("seeds", self.seeds)):
            twice = next((v for v in values if list(values).count(v) > 1), None)
            if twice is not None:
                raise ScenarioError(f"{kind} = {twice!r}: must differ, it stands there twice")
        folders: dict[str, str] = {}
        for label in labels:
            other = folders.setdefault(_slug(label).casefold(), label)
            if other != label:
                raise ScenarioError(
                    f"algorithms.label = {label!r}: must differ from {other!r} in letters, digits, "
                    "'.', '_' or '-' among the first 60; a trial's folder is named after it"
                )
        if self.faults is not None:
            try:
                self.faults.check(self.cluster.size)
            except ValueError as error:
                raise ScenarioError(f"faults.{error}") from None
            for algorithm in self.algorithms:
                if self.faults.model == "reset" and not algorithm.survives_reset:
                    raise ScenarioError(
                        f"faults.model = 'reset': {algorithm.name} relies on what workers keep "
                        "beside their models, which would be lost; use 'keep'"
                    )
        for i, algorithm in enumerate(self.algorithms):
            try:
                self._check_step_size(algorithm)
            except ScenarioError as error:
                raise ScenarioError(f"algorithms.{i}.{error}") from None
        try:
            measured(self.evaluate, self.stop)
        except ValueError as error:
            raise ScenarioError(f"evaluate.{error}") from None
        return self

    def _check_step_size(self, algorithm: Algorithm) -> None:
        within = algorithm.step_size.within(self.stop.rounds, self.stop.time_s)
        _, epsilon = checked(within).at(0, 0.0)
        if epsilon != 1 and not isinstance(algorithm, Consensus):
            own = "kind" not in type(algorithm).__dict__
            raise ScenarioError(
                f"step_size = {algorithm.step_size.table()}: {algorithm.name} has no consensus "
                "step; give alpha only (or epsilon = 1)"
                + (", or derive it from desim.Consensus if it asks for one" if own else "")
            )

    def with_values(self, values: Mapping[str, Any]) -> "Scenario":
        """A copy with other values at some dotted keys.

        Args:
            values: by dotted key, such as "cluster.workers" or "algorithms.0.batch"; an algorithm
                is named by its place or label, or '*' for all.

        Raises:
            ScenarioError: no such key, or a value that breaks its rule.
        """
        changes = [_Change(key.split("."), value, spelled(key)) for key, value in values.items()]
        for key in (change.key for change in changes if change.path[0] == "sweep"):
            if key != "sweep":
                raise ScenarioError(f"{key}: set the whole table, sweep = {{{key[6:]!r} = [...]}}")
        changed: Scenario = _replaced(self, changes)
        return changed

    def points(self) -> list[Point]:
        """All combinations of the sweep's values; one empty point without a sweep."""
        return [
            dict(zip(self.sweep, values, strict=True))
            for values in itertools.product(*self.sweep.values())
        ]

    def trials(self) -> Iterator[Trial]:
        """All trials: points, algorithms and seeds, in this order.

        With a sweep over `stop.rounds`, methods to which the number of rounds makes no difference
        run for the largest one only: the shorter runs are its beginnings.

        Raises:
            ScenarioError: a value of the sweep breaks a rule.
        """
        points = self.points()
        width = len(str(len(points) - 1))
        for number, point in enumerate(points):
            scenario = self.with_values(point)
            prefix = f"{number:0{width}d}-" if self.sweep else ""
            kept = [a for a in scenario.algorithms if not self._begins_longer(a, point)]
            for algorithm, seed in itertools.product(kept, scenario.seeds):
                setting = Setting(
                    scenario.problem,
                    scenario.cluster,
                    scenario.network,
                    scenario.stop,
                    scenario.evaluate,
                    algorithm,
                    seed,
                    scenario.faults,
                )
                yield Trial(f"{prefix}{_slug(algorithm.name)}-seed{seed}", point, setting)

    def _begins_longer(self, algorithm: Algorithm, point: Point) -> bool:
        """Whether a trial is the beginning of one with more rounds, evaluated at its end too."""
        rounds, every = point.get(HORIZON), self.evaluate.every_rounds
        if rounds is None or every is None or rounds % every:
            return False
        longest = max(self.sweep[HORIZON])
        if rounds == longest:
            return False
        # Nothing else of a method depends on the number of rounds.
        step_size, time_s = algorithm.step_size, self.stop.time_s
        return step_size.within(rounds, time_s) == step_size.within(longest, time_s)


def from_table(table: Mapping[str, Any]) -> Scenario:
    """A scenario from plain tables, as TOML gives them.

    Raises:
        ScenarioError: a line for each rule that is broken.
    """
    try:
        scenario = Scenario.model_validate(dict(table))
    except ValidationError as error:
        raise ScenarioError("\n".join(explain(error, Scenario))) from None
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
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: can't be read ({error})") from None
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path}: is no TOML: {error}") from None
    return from_table(anchored(table, path.resolve().parent))


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


def prepared(
    scenario: Scenario | str | Path, values: dict[str, Any] | None, seeds: list[int] | None
) -> Scenario:
    """The scenario with other values and seeds.

    Raises:
        ScenarioError: it breaks a rule.
    """
    if not isinstance(scenario, Scenario):
        scenario = read(scenario)
    changes = {**(values or {}), **({"seeds": list(seeds)} if seeds is not None else {})}
    return scenario.with_values(anchored(changes, Path.cwd()))


def _of_one_type(values: list[Any]) -> list[Any]:
    """A sweep's values as they stand in a column: whole numbers among others become floats."""
    if {type(value) for value in values} == {int, float}:
        return [float(value) for value in values]
    return values


class _Change(NamedTuple):
    """Another value at a path below some node; `key` is the whole path."""

    path: list[str]
    value: Any
    key: str

    def below(self) -> "_Change":
        return self._replace(path=self.path[1:])


def _replaced(node: Any, changes: list[_Change]) -> Any:
    """A copy of node with all changes made before any rule is checked."""
    for i, change in enumerate(changes):
        if not change.path:
            return _replaced(change.value, changes[i + 1 :])
    if not changes:
        return node
    if isinstance(node, tuple):
        chosen = [(_chosen(node, change.path[0], change.key), change) for change in changes]
        return tuple(
            _replaced(item, [change.below() for places, change in chosen if i in places])
            for i, item in enumerate(node)
        )
    heads = {change.path[0]: change for change in changes}
    if isinstance(node, Table):
        for change in changes:
            _check_head(node, change)
        old = {name: getattr(node, name) for name in type(node).model_fields}
    elif node is None or isinstance(node, dict):
        old = node or {}
    else:
        _, value, key = changes[0]
        raise ScenarioError(
            f"{key} = {short(value)}: there is nothing below "
            f"{key.removesuffix('.' + '.'.join(changes[0].path))} = {short(node)}; set that"
        )
    new = {
        head: _replaced(old.get(head), [c.below() for c in changes if c.path[0] == head])
        for head in heads
    }
    if not isinstance(node, Table):
        return {**old, **new}
    try:
        return type(node).model_validate({name: old[name] for name in node.model_fields_set} | new)
    except ValidationError as error:
        prefix = changes[0].key.split(".")[: -len(changes[0].path)]
        raise ScenarioError("\n".join(explain(error, type(node), ".".join(prefix)))) from None


def _check_head(node: Table, change: _Change) -> None:
    (head, *_), value, key = change
    known = list(type(node).model_fields)
    if head in known:
        return
    if head == "kind" and isinstance(node, Member):
        raise ScenarioError(
            f"{key} = {short(value)}: a kind has fields of its own; give the whole table, "
            f"{key.rpartition('.')[0]} = {{kind = ...}}"
        )
    owner = f" of {node.name}" if isinstance(node, Algorithm) else ""
    raise ScenarioError(f"{key} = {short(value)}: unknown key{owner}; {suggest(head, known)}")


def _chosen(items: tuple[Any, ...], head: str, key: str) -> list[int]:
    names = [item.name for item in items if isinstance(item, Algorithm)]
    if head == "*":
        return list(range(len(items)))
    if head in names:
        return [names.index(head)]
    if head.isdecimal() and int(head) < len(items):
        return [int(head)]
    raise ScenarioError(
        f"{key}: {head!r} names none of them; use a place from 0 to {len(items) - 1}"
        f"{''.join(f', {name}' for name in names)} or '*' for all"
    )


def _slug(text: str) -> str:
    safe = "".join(c if c.isalnum() or c in "._-" else "-" for c in text[:60])
    return safe.strip(".") or "trial"
