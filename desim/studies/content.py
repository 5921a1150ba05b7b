"""What a trial was made of: a digest for everything behind a path, an object or code.

Numbers and words stand in the scenario itself. What comes with desim needs no digest besides, as
results hold its version.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from desim.errors import warn
from desim.scenario.setting import Setting
from desim.schema.digest import digest
from desim.schema.files import Files
from desim.schema.own_code import is_own
from desim.schema.profiled import Profiled
from desim.schema.registry import Table
from desim.streams import Streams
from desim.tensors.datasets.base import Dataset
from desim.tensors.lazy import nn
from desim.tensors.models.base import GivenModel
from desim.tensors.problem import Problem

#: Digests by dotted key.
Content = dict[str, str]


class Contents:
    """Digests of what the trials of a study are made of, each taken once.

    Args:
        train: whether data is read.
    """

    def __init__(self, *, train: bool) -> None:
        self._train = train
        self._files = Files()
        self._tables: dict[int, tuple[Table, Content]] = {}
        self._modules: dict[tuple[int, int], tuple[Problem, str]] = {}
        self._objects: dict[int, tuple[object, str]] = {}
        self._said: set[str] = set()

    def of(self, setting: Setting) -> Content:
        """The digests by dotted key, such as `network.topology.file`.

        Warns once of what can't be told from another one of its kind, such as an open file.
        """
        found: Content = {}
        for part in fields(setting):
            value = getattr(setting, part.name)
            if isinstance(value, Table):
                method = part.name == "algorithm"
                key = f"algorithms.{setting.algorithm.name}" if method else part.name
                found |= {f"{key}{below}": each for below, each in self._table(value).items()}
        if self._train:
            found |= self._built(setting.problem, setting.seed)
        for key, each in found.items():
            _, _, unknown = each.partition(", not digested: ")
            if unknown and key not in self._said:
                self._said.add(key)
                warn(
                    f"{key}: holds {unknown}, whose content can't be looked into; results of "
                    "another one would be taken for these, so give it another folder"
                )
        return found

    def _built(self, problem: Problem, seed: int) -> Content:
        """A module that code of the user's own makes: that may read what no digest sees."""
        model = problem.model
        if not is_own(model) and not (
            isinstance(model, GivenModel) and not isinstance(model.module, nn.Module)
        ):
            return {}
        key = id(problem), seed
        if key not in self._modules:
            state = problem.module(Streams(seed)).state_dict()
            self._modules[key] = problem, str(digest(list(state.items()), self._files))
        return {"problem.model.build()": self._modules[key][1]}

    def _table(self, table: Table) -> Content:
        """The digests by what is to be added to the table's own key."""
        if id(table) not in self._tables:
            self._tables[id(table)] = table, dict(sorted(self._behind(table)))
        return self._tables[id(table)][1]

    def _behind(self, table: Table) -> Iterator[tuple[str, str]]:
        own = not type(table).__module__.startswith("desim.")
        if own:
            yield "", self._object(type(table))
            if self._train and isinstance(table, Dataset):  # it may read what no field names
                yield ".load()", str(digest(table.load(), self._files))
        whole = table.resolved() if isinstance(table, Profiled) else table
        named = whole.content_paths()
        for name, paths in named.items():
            yield f".{name}", self._files.digest(*paths)
        # What stands for an object has no kind, and its field no key in a scenario.
        stands = not own and hasattr(table, "axis") and not hasattr(table, "kind")
        for name in type(whole).model_fields:
            if name not in named:
                key = "" if stands else f".{name}"
                yield from self._value(key, getattr(whole, name), own)

    def _value(self, key: str, value: object, own: bool) -> Iterator[tuple[str, str]]:
        if isinstance(value, Table):
            for below, each in self._table(value).items():
                yield f"{key}{below}", each
        elif isinstance(value, list | tuple):
            for place, item in enumerate(value):
                yield from self._value(f"{key}.{place}", item, own)
        elif isinstance(value, dict):
            for name, item in value.items():
                yield from self._value(f"{key}.{name}", item, own)
        elif isinstance(value, str):
            if own and _is_file(value):
                yield key, self._files.digest(Path(value))
        elif value is not None and not isinstance(value, bool | int | float):
            yield key, self._object(value)

    def _object(self, value: object) -> str:
        if id(value) not in self._objects:
            self._objects[id(value)] = value, str(digest(value, self._files))
        return self._objects[id(value)][1]


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False
