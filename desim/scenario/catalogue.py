"""What scenarios can be made of: what `desim list` and `desim show` print."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from desim.errors import ScenarioError
from desim.scenario.bundled import bundled
from desim.schema import profiles
from desim.schema.phrases import suggest
from desim.schema.registry import AXES, Table, find, index

#: The tables of a scenario that have a name of their own, and where their classes are.
TABLES = {
    "scenario": "desim.scenario.scenario:Scenario",
    "problem": "desim.tensors.problem:Problem",
    "cluster": "desim.scenario.setting:Cluster",
    "hardware": "desim.clock.hardware:Hardware",
    "network": "desim.scenario.setting:Network",
    "regions": "desim.clock.regions:Regions",
    "faults": "desim.clock.faults:Faults",
    "stop": "desim.scenario.stopping:Stop",
    "evaluate": "desim.scenario.stopping:Evaluate",
    "report": "desim.analysis.figures.base:Report",
}

#: The lists of profiles.
_PROFILES: dict[str, profiles.Kind] = {"hardware": "hardware", "networks": "network"}


def lists(name: str | None) -> dict[str, dict[str, str]]:
    """One list by its name, or all: what is in it, with a line of help each.

    Raises:
        ScenarioError: there is no such list.
    """
    known: dict[str, Callable[[], dict[str, str]]] = {axis: _axis(axis) for axis in AXES}
    known |= {title: _profiles(kind) for title, kind in _PROFILES.items()}
    known["scenarios"] = lambda: {key: _first_comment(path) for key, path in bundled().items()}
    if name is not None and name not in known:
        raise ScenarioError(f"{name!r}: no such list; {suggest(name, list(known))}")
    return {title: make() for title, make in known.items() if name in (None, title)}


def _axis(axis: str) -> Callable[[], dict[str, str]]:
    return lambda: {kind: entry.about for kind, entry in index(axis).items()}


def _profiles(kind: profiles.Kind) -> Callable[[], dict[str, str]]:
    return lambda: {name: profiles.about(kind, name) for name in profiles.names(kind)}


def _first_comment(path: Path) -> str:
    line = path.read_text(encoding="utf-8").partition("\n")[0]
    return line.lstrip("# ") if line.startswith("#") else ""


def entries(name: str) -> list[tuple[str, type[Table] | Path]]:
    """All that goes by a name: where it belongs, and the table or a profile's file.

    Raises:
        ScenarioError: nothing does.
    """
    found: list[tuple[str, type[Table] | Path]] = []
    if name in TABLES:
        module, _, cls = TABLES[name].partition(":")
        found.append(("table", getattr(import_module(module), cls)))
    found += [(axis, find(axis, name)) for axis in AXES if name in index(axis)]
    for title, kind in _PROFILES.items():
        if name in profiles.names(kind):
            found.append((title, profiles.path_of(kind, name)))
    if not found:
        known = [*TABLES, *(kind for axis in AXES for kind in index(axis))]
        known += [each for kind in _PROFILES.values() for each in profiles.names(kind)]
        raise ScenarioError(f"{name!r}: there is no such kind or table; {suggest(name, known)}")
    return found
