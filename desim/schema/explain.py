"""What is wrong with a table, in words: a line for each rule that is broken."""

import inspect
import re
from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Any, TypeGuard, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from desim.schema.phrases import short, spelled, unit_of
from desim.schema.registry import NestedError, Table


def explain(error: ValidationError, cls: type[Table], prefix: str = "") -> Iterator[str]:
    """One line for each thing that is wrong: the key, the value, the rule and a way out.

    Args:
        error: what pydantic found.
        cls: the type of the table that was validated.
        prefix: the dotted key of the table that was validated.
    """
    yield from described(error.errors(), cls, prefix)


def described(details: list[ErrorDetails], cls: type[Table], prefix: str = "") -> Iterator[str]:
    """The same of what pydantic's error holds."""
    said = set()
    for detail in details:
        path, meant = _path(detail, cls)
        key = ".".join([*([prefix] if prefix else []), *path])
        nested = detail.get("ctx", {}).get("error")
        if isinstance(nested, NestedError):
            yield from described(nested.details, nested.cls, key)
        elif meant and key not in said:
            said.add(key)
            yield _line(key, detail, cls)


def _path(detail: ErrorDetails, cls: type[Table]) -> tuple[list[str], bool]:
    """The keys that lead to a value from a table, and whether the error is worth telling.

    Of a field that takes a number or a table, pydantic tells what is wrong with the value as either
    of them, and puts the type's name among the keys. Of a list with a bad item it also tells that
    the list is too short without it.
    """
    if detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"]:
        return [], False
    keys: list[str] = []
    expected: Any = cls
    meant = True
    for depth, part in enumerate(detail["loc"], 1):
        expected = _bare(expected)
        if get_origin(expected) in (Union, UnionType):
            branches = {getattr(_bare(b), "__name__", ""): _bare(b) for b in get_args(expected)}
            expected = branches.get(str(part))
            as_table, inside = _is_table(expected), depth < len(detail["loc"])
            meant = inside or (
                detail["type"] != "model_type" if as_table else type(detail["input"]) is not dict
            )
            continue
        keys.append(spelled(str(part)))
        if _is_table(expected):
            field = expected.model_fields.get(str(part))
            expected = field and field.annotation
        else:
            expected = next(iter(get_args(expected)), None) if isinstance(part, int) else None
    return keys, meant


def _bare(annotation: Any) -> Any:
    """A type without its rules, and without None."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        parts = [part for part in get_args(annotation) if part is not NoneType]
        return _bare(parts[0]) if len(parts) == 1 else annotation
    return annotation


def _is_table(value: object) -> TypeGuard[type[Table]]:
    return inspect.isclass(value) and issubclass(value, Table)


def _line(key: str, detail: ErrorDetails, cls: type[Table]) -> str:
    value, name = detail["input"], key.rpartition(".")[2]
    match detail["type"]:
        case "missing":
            return f"{key}: is missing"
        case "value_error":
            text = str(detail["ctx"]["error"])
            if re.match(r"[\w.]+ = ", text):  # the message names the field itself
                return f"{key}.{text}" if key else text
            return f"{key} = {short(value)}: {text}" if key else f"{cls.__name__}: {text}"
        case "tuple_type" | "list_type":
            rule = "must be a list"
        case "dict_type" | "model_type":
            rule = "must be a table"
        case "too_short":
            least = detail["ctx"]["min_length"]
            rule = f"must have at least {least} item{'s' if least > 1 else ''}"
        case _:
            rule = detail["msg"].replace("Input should be", "must be")
    unit = "" if rule.endswith("?") or "; " in rule else unit_of(name)
    return f"{key} = {short(value)}: {rule[0].lower()}{rule[1:]}{unit}"
