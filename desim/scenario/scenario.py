"""Scenarios: what to simulate, read from TOML or built in code."""

import itertools
import os
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from desim.algorithms.base import Algorithm
from desim.algorithms.parts.consensus import Consensus
from desim.analysis.figures.base import Report
from desim.clock.faults import Faults
from desim.errors import ScenarioError
from desim.scenario.bundled import bundled
from desim.scenario.changes import Change, replaced
from desim.scenario.setting import Cluster, Network, Setting
from desim.scenario.stopping import Evaluate, Stop, measured
from desim.schema.explain import explain
from desim.schema.limits import MOST_LEVELS
from desim.schema.natives import native
from desim.schema.paths import anchored, regular
from desim.schema.phrases import short, spelled, suggest
from desim.schema.registry import Table
from desim.schema.toml_lines import parsed
from desim.step_sizes._checked import checked
from desim.tensors.problem import Problem

Seed = Annotated[int, Field(ge=0, lt=2**63, strict=True)]  # a column of the results holds it
Point = dict[str, Any]

#: The key of T, the number of rounds of a run.
HORIZON = "stop.rounds"

#: Each trial is a folder of files, and a process's share of the work to list them.
MOST_TRIALS = 100_000

#: File systems allow 255 bytes for a name, and `tune` adds a few letters.
_LONGEST = 200

#: What a sweep's value may be besides a number or an object.
_PLAIN = list[Any] | dict[str, Any]

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
        longest = max(name.split("/"), key=len)
        if len(longest) > _LONGEST or len(name) > 4 * _LONGEST:
            raise ValueError(
                f"names the results folder: must have at most {_LONGEST} letters between '/', and "
                f"{4 * _LONGEST} in all"
            )
        return name

    @field_validator("sweep")
    @classmethod
    def _crosses(cls, sweep: dict[str, list[Any]]) -> dict[str, list[Any]]:
        sweep = {key: [native(value, _PLAIN) for value in each] for key, each in sweep.items()}
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
            twice = _twice(map(_hashable, values))
            if twice is not None:
                value = short(values[twice])
                raise ValueError(f"{key!r} has {value} twice; its values must differ")
        return {key: _of_one_type(values) for key, values in sweep.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        labels = [algorithm.name for algorithm in self.algorithms]
        for kind, values in (("algorithms.label", labels), ("seeds", self.seeds)):
            twice = _twice(values)
            if twice is not None:
                raise ScenarioError(
                    f"{kind} = {values[twice]!r}: must differ, it stands there twice"
                )
        self._check_trials()
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

    def _check_trials(self) -> None:
        points = prod(map(len, self.sweep.values()))
        trials = points * len(self.algorithms) * len(self.seeds)
        if trials > MOST_TRIALS:
            key = "sweep" if points > 1 else "seeds"
            raise ScenarioError(
                f"{key}: amounts to {trials:,} trials, {points:,} points x {len(self.algorithms)} "
                f"methods x {len(self.seeds):,} seeds; must be at most {MOST_TRIALS:,}"
            )

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
        for key in values:
            if key.count(".") >= MOST_LEVELS:
                raise ScenarioError(
                    f"{short(key)}: must be a dotted key of at most {MOST_LEVELS} parts"
                )
        changes = [Change(key.split("."), value, spelled(key)) for key, value in values.items()]
        for key in (change.key for change in changes if change.path[0] == "sweep"):
            if key != "sweep":
                raise ScenarioError(f"{key}: set the whole table, sweep = {{{key[6:]!r} = [...]}}")
        changed: Scenario = replaced(self, changes)
        return changed

    def at(self, point: Point) -> "Scenario":
        """The scenario at one point of its sweep, without the sweep.

        Raises:
            ScenarioError: a value breaks a rule.
        """
        # Without the sweep, whose values would be checked again for each of them.
        return self.model_copy(update={"sweep": {}}).with_values(point) if point else self

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
            scenario = self.at(point)
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

    @cached_property
    def _longest(self) -> int:
        """The largest number of rounds of the sweep."""
        return int(max(self.sweep[HORIZON]))

    def _begins_longer(self, algorithm: Algorithm, point: Point) -> bool:
        """Whether a trial is the beginning of one with more rounds, evaluated at its end too."""
        rounds, every = point.get(HORIZON), self.evaluate.every_rounds
        if rounds is None or every is None or rounds % every:
            return False
        longest = self._longest
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
        scenario.at(point)
    return scenario


def read(name: str | Path) -> Scenario:
    """Reads a scenario from a path, or one of those that come with desim by its name.

    Raises:
        ScenarioError: there is none, it is no TOML, or it breaks a rule.
    """
    path = find(name)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path}: can't be read ({error})") from None
    try:
        table = parsed(text)
    except ValueError as error:
        raise ScenarioError(f"{path}: is no TOML: {error}") from None
    try:
        table = anchored(table, path.resolve().parent)
    except ValueError as error:
        raise ScenarioError(str(error)) from None
    return from_table(table)


def find(name: str | Path) -> Path:
    """The file behind a path or the name of a bundled scenario.

    Raises:
        ScenarioError: there is none.
    """
    try:
        return regular(name)
    except OSError as error:
        reason = error
    known = bundled()
    if str(name) in known:
        return known[str(name)]
    if os.path.exists(name):
        raise ScenarioError(
            f"scenario: {reason}; pass a TOML file, or the name of one that comes with desim"
        )
    raise ScenarioError(
        f"scenario {short(str(name))}: no such file, and none with this name comes with desim; "
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
    try:
        changes = anchored(changes, Path.cwd())
    except ValueError as error:
        raise ScenarioError(str(error)) from None
    return scenario.with_values(changes)


def _of_one_type(values: list[Any]) -> list[Any]:
    """A sweep's values as they stand in a column: whole numbers among others become floats."""
    if {type(value) for value in values} == {int, float}:
        return [float(value) for value in values]
    return values


def _twice(values: Iterable[Hashable]) -> int | None:
    """The place of the first value that stands there once more later on."""
    places: dict[Hashable, int] = {}
    again = {places[v] for place, v in enumerate(values) if places.setdefault(v, place) != place}
    return min(again, default=None)


def _hashable(value: Any) -> Hashable:
    """Something equal for values that are equal."""
    if isinstance(value, dict):
        return frozenset((key, _hashable(item)) for key, item in value.items())
    if isinstance(value, list):
        return ("list", *map(_hashable, value))
    return value if isinstance(value, Hashable) else id(value)


def _slug(text: str) -> str:
    """A label as a folder's name; 60 letters of 3 bytes each leave room for the seed in 255."""
    safe = "".join(c if c.isalnum() or c in "._-" else "-" for c in text[:60])
    return safe.encode()[:180].decode(errors="ignore").strip(".") or "trial"
