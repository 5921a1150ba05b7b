"""Members of the axes of variation, and the tables of a scenario that describe them.

An axis is a folder (`desim/algorithms`, `desim/tensors/compressors`, ...): a base class and one
small file a member. A member is a frozen pydantic model: its fields *are* its table in the
scenario. In a scenario it is written `{kind = "ring"}`, or just `"ring"` where every field has a
default, or `{kind = "my_package.my_module:MyRing"}` for a class of one's own.
"""

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from datetime import time as clock_time
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Self,
    TypeGuard,
    Union,
    cast,
    get_args,
    get_origin,
)

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from desim.errors import ScenarioError
from desim.schema.limits import broken
from desim.schema.natives import native
from desim.schema.own_code import reason
from desim.schema.paths import PATHS
from desim.schema.phrases import short, suggest, unit_hint

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:  # pydantic has no public name for it
    ModelMetaclass = type(BaseModel)

AXES: dict[str, str] = {
    "algorithms": "desim.algorithms",
    "step-sizes": "desim.step_sizes",
    "compressors": "desim.tensors.compressors",
    "datasets": "desim.tensors.datasets",
    "partitions": "desim.tensors.partitions",
    "models": "desim.tensors.models",
    "losses": "desim.tensors.losses",
    "topologies": "desim.topologies",
    "mixings": "desim.mixings",
    "stragglers": "desim.clock.stragglers",
    "links": "desim.clock.links",
    "metrics": "desim.metrics",
    "stops": "desim.stops",
    "figures": "desim.analysis.figures",
}


class _TableType(ModelMetaclass):
    """Tells what is wrong with a table that is made in Python as it is told of one in a file.

    Here rather than in `__init__`, which pydantic would also call for the tables inside a table.
    """

    # A metaclass's methods are given the class, which is no `self`.
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        if missing := sorted(getattr(cls, "__abstractmethods__", ())):
            raise ScenarioError(
                f"{cls.__qualname__}: can't be used yet; it must define {', '.join(missing)}"
            )
        try:
            return super().__call__(*args, **kwargs)
        except ValidationError as error:
            raise TableError(error.errors(), cast("type[Table]", cls)) from None


class Table(BaseModel, metaclass=_TableType):
    """A table of the scenario: frozen, strict about types, refuses keys that it doesn't know."""

    # A class of the user's own may say `random = False` or `searched = ("beta", "gamma")` without
    # an annotation.
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        arbitrary_types_allowed=True,
        ignored_types=(bool, str, tuple),
    )

    def table(self) -> dict[str, Any]:
        """The table with plain values only, without the fields that are None."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: plain(value) for name, value in values.items() if value is not None}

    def content_paths(self) -> dict[str, tuple[Path, ...]]:
        """By field, the files and folders whose content counts: those that its fields name.

        A member that reads less of a folder, or reads what no field names, says so itself.
        """
        named = {name: getattr(self, name) for name in type(self).model_fields if name in PATHS}
        return {name: (Path(value),) for name, value in named.items() if isinstance(value, str)}

    @model_validator(mode="before")
    @classmethod
    def _known_keys_only(cls, table: object) -> object:
        """Refuses unknown keys with a word on the known ones, which pydantic's own rule lacks.

        numpy's numbers become Python's here, before any rule is checked.
        """
        if isinstance(table, dict):
            types = {key: field.annotation for key, field in cls.model_fields.items()}
            table = {key: native(value, types.get(key)) for key, value in table.items()}
            if found := broken(table):
                raise NestedError([_detail(*found)], cls)
            unknown = [
                _detail(key, value, f"unknown key; {unit_hint(key)}{suggest(key, known)}")
                for key, value in table.items()
                if key not in (known := list(cls.model_fields))
            ]
            if unknown:
                raise NestedError(unknown, cls)
        return table


def plain(value: object) -> Any:
    """A value as it can stand in a file: objects by their names or their classes' names.

    What they hold is told by digests in the trials' manifests.
    """
    value = native(value, None)
    if isinstance(value, Table):
        return value.table()
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str | date | clock_time):
        return value
    if isinstance(value, Path):
        return str(value)
    return str(getattr(value, "__qualname__", type(value).__qualname__))


class NestedError(ValueError):
    """What is wrong inside a table of type `cls`; `explain` puts the outer key in front."""

    def __init__(self, details: list[ErrorDetails], cls: type[Table]) -> None:
        super().__init__(details[0]["msg"])
        self.details, self.cls = details, cls


class TableError(ScenarioError, NestedError):
    """What is wrong with a table that was made in Python; a line for each rule that is broken.

    Inside another table's own rules it is a ValueError like others, and gets the outer key.
    """

    def __init__(self, details: list[ErrorDetails], cls: type["Table"]) -> None:
        super().__init__(details, cls)
        from desim.schema.explain import described  # which knows tables, and so imports this file

        self.text = "\n".join(described(details, cls))

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return ScenarioError, (self.text,)  # details may hold what can't be pickled


def _detail(key: object, value: object, rule: str) -> ErrorDetails:
    return {"type": "rule", "loc": (str(key),), "msg": rule, "input": value}


class Member(Table):
    """Base of everything that a scenario picks by `kind`.

    The base of an axis sets `axis`; a member that comes with desim sets `kind`, and `examples`
    where a field has no default: tables (without kind) that the conformance tests try.
    """

    axis: ClassVar[str]
    kind: ClassVar[str]
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({},)

    @classmethod
    def is_base(cls) -> bool:
        """Whether this class is the base of its axis rather than a member."""
        return "axis" in cls.__dict__

    @classmethod
    def from_object(cls, value: object) -> Self | None:
        """A member made from an object that is not one (an nn.Module, say), or None."""
        return None

    @classmethod
    def parse(cls, value: object) -> Self:
        """The member that a scenario's table, a bare kind or an object stands for.

        Raises:
            ValueError: no such kind, or a table that breaks a member's rules (NestedError).
        """
        if isinstance(value, cls):
            return value
        made = cls.from_object(value)
        if made is not None:
            return made
        table = {"kind": value} if isinstance(value, str) else value
        if not isinstance(table, dict):
            raise ValueError(f"must be a table such as {{kind = {example(cls.axis)!r}}}")
        if "kind" not in table:
            raise ValueError(f"needs a kind: one of {', '.join(kinds(cls.axis))}")
        member = find(cls.axis, table["kind"])
        if not issubclass(member, cls):
            raise ValueError(f"{short(table['kind'])} is no member of {cls.axis}")
        try:
            return member.model_validate({k: v for k, v in table.items() if k != "kind"})
        except ValidationError as error:
            raise NestedError(error.errors(), member) from None

    def table(self) -> dict[str, Any]:
        """The member as a table of the scenario, without the fields that are None."""
        cls = type(self)
        known = "kind" in cls.__dict__ and cls.__module__.startswith(f"{AXES[cls.axis]}.")
        kind = cls.kind if known else f"{cls.__module__}:{cls.__qualname__}"
        return {"kind": kind, **super().table()}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if not cls.is_base():
            return handler(source)
        return core_schema.no_info_plain_validator_function(
            cls.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda member: member.table()
            ),
        )


class Entry(NamedTuple):
    """A member of an axis, as its file's text says: known without importing it.

    Attributes:
        module, cls: where its class is.
        about: the first line of its docstring.
    """

    module: str
    cls: str
    about: str


@lru_cache
def index(axis: str) -> dict[str, Entry]:
    """The members of an axis that come with desim, by kind, in alphabetical order.

    A member's file has one class with a line `kind: ClassVar[str] = "..."`, right after its
    docstring.

    Raises:
        ScenarioError: there is no such axis.
    """
    if axis not in AXES:
        raise ScenarioError(f"{axis!r}: no such list; {suggest(axis, list(AXES))}")
    package = importlib.import_module(AXES[axis])
    found: dict[str, Entry] = {}
    for file in sorted(Path(package.__path__[0]).glob("[!_]*.py")):
        there = _MEMBER.findall(file.read_text(encoding="utf-8"))
        if not there and file.stem != "base":
            raise LookupError(
                f"{file}: has no member; its class must have a docstring and, right after it, "
                'kind: ClassVar[str] = "..." (a helper\'s name begins with an underscore)'
            )
        for cls, about, kind in there:
            found[kind] = Entry(f"{AXES[axis]}.{file.stem}", cls, about)
    return dict(sorted(found.items()))


#: A class with its docstring's first line and its kind.
_MEMBER = re.compile(
    r'^class (\w+)\([^)]*\):\n    """(.*?)(?:"""\n|\n(?:[^"]|"(?!""))*?"""\n)\n'
    r'    kind: ClassVar\[str\] = "([^"]+)"$',
    re.MULTILINE,
)


def members(axis: str) -> dict[str, type[Member]]:
    """The classes of the members of an axis, by kind; imports all of them.

    Raises:
        ScenarioError: there is no such axis.
    """
    return {kind: find(axis, kind) for kind in index(axis)}


def _is_member(value: object) -> TypeGuard[type[Member]]:
    return inspect.isclass(value) and issubclass(value, Member)


def kinds(axis: str) -> list[str]:
    """The kinds of an axis that come with desim."""
    return list(index(axis))


def example(axis: str) -> str:
    """One kind of an axis, for messages."""
    return kinds(axis)[0]


def find(axis: str, kind: object) -> type[Member]:
    """The class behind a kind, or behind "package.module:Class"; imports its file only.

    Raises:
        ValueError: there is none.
    """
    if not isinstance(kind, str):
        raise ValueError(f"kind = {short(kind)}: must be a string, one of {', '.join(kinds(axis))}")
    if ":" in kind:
        return _load(kind)
    known = index(axis)
    if kind not in known:
        raise ValueError(f"kind = {short(kind)}: no such kind; {suggest(kind, list(known))}")
    entry = known[kind]
    found: type[Member] = getattr(importlib.import_module(entry.module), entry.cls)
    return found


def _load(path: str) -> type[Member]:
    """The user's class named "package.module:Class"; the working folder is searched as well."""
    module_name, _, class_name = path.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    key = f"kind = {short(path)}"
    try:
        loaded = getattr(importlib.import_module(module_name), class_name)
    except Exception as error:  # whatever the user's module does while it is imported
        raise ValueError(
            f"{key}: can't be imported ({reason(error)}); the form is "
            "package.module:Class, found from the working folder or the installed packages"
        ) from None
    if not _is_member(loaded):
        raise ValueError(f"{key}: must be a class derived from a base class of desim")
    if missing := sorted(loaded.__abstractmethods__):
        raise ValueError(f"{key}: can't be used yet; it must define {', '.join(missing)}")
    return loaded


def first_line(cls: Callable[..., Any]) -> str:
    """The first line of a docstring: what `desim list` prints."""
    return (inspect.getdoc(cls) or "").partition("\n")[0]


def type_name(annotation: Any, rules: Sequence[object] = ()) -> str:
    """A field's type and its rules in words, for `desim show`."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(parts[0], parts[1:])
    if origin is Literal:
        return " or ".join(repr(part) for part in parts)
    if origin in (Union, UnionType):
        return " or ".join(type_name(part) for part in parts if part is not NoneType)
    if origin in (tuple, list):
        return f"list of {type_name(parts[0])}"
    if inspect.isclass(annotation) and issubclass(annotation, Member) and annotation.is_base():
        return f"one of {annotation.axis}"
    name = getattr(annotation, "__name__", str(annotation))
    limits = [
        f"{sign} {getattr(rule, attribute)}"
        for rule in _flat(rules)
        for attribute, sign in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<="))
        if getattr(rule, attribute, None) is not None
    ]
    return " ".join([name, ", ".join(limits)]) if limits else name


def _flat(rules: Sequence[object]) -> Iterator[object]:
    """Rules with those inside a pydantic Field spread out."""
    for rule in rules:
        yield from getattr(rule, "metadata", [rule])
