"""Options of the command line that are more than one word: their types, and how they are read."""

import tomllib
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer

from desim.errors import ScenarioError
from desim.schema.phrases import short
from desim.schema.toml_lines import parsed

ScenarioName = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A TOML file, or a name that comes with desim.")
]
Values = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Another value at a dotted key; repeatable."),
]

Strict = Annotated[
    bool,
    typer.Option("--strict", help="Refuse trials there that other versions of desim or torch ran."),
]


def out(help: str, usual: str, metavar: str = "PATH") -> Any:
    """The option --out: where something is written.

    Args:
        help: what.
        usual: where, if it is left out.
        metavar: what stands for it.
    """
    return typer.Option(parser=_path, metavar=metavar, help=help, show_default=usual)


def _path(text: str) -> Path:
    """The path of --out; an empty one would be the current folder."""
    if not text:
        raise ScenarioError("--out = '': must be a path; leave it out for the usual one")
    return Path(text)


def values(pairs: list[str] | None) -> dict[str, Any]:
    """The values of --set by dotted key."""
    found = {}
    for pair in pairs or []:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise ScenarioError(f"--set = {short(pair)}: must be dotted.key=value")
        try:
            table = parsed(f"value = {text}")
        except tomllib.TOMLDecodeError:
            table = {"value": text}  # a bare word is a string
        except ValueError as error:
            raise ScenarioError(f"--set = {short(pair)}: {error}") from None
        if len(table) > 1:
            raise ScenarioError(
                f"--set = {short(pair)}: must be one value; use --set again for another"
            )
        found[key.strip()] = table["value"]
    return found


def whole_numbers(option: str, text: str | None, such_as: str) -> list[int] | None:
    """The whole numbers of an option; None where it isn't given."""
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    # Python reads no number of thousands of digits.
    if not all(word.isascii() and word.isdecimal() and len(word) < 100 for word in words):
        raise ScenarioError(f"{option} = {short(text)}: must be whole numbers, such as {such_as}")
    return [int(word) for word in words]


def numbers(option: str, text: str | None, such_as: str, count: int = 0) -> list[float]:
    """The numbers of an option; none where it isn't given."""
    if text is None:
        return []
    try:
        found = [float(word) for word in text.split(",")]
    except ValueError:
        found = []
    if not found or (count and len(found) != count):
        many = f"{count} numbers" if count else "numbers"
        raise ScenarioError(f"{option} = {short(text)}: must be {many}, such as {such_as}")
    return found


def targets(option: str, text: str | None) -> tuple[str | None, list[float]]:
    """The values of `[METRIC=]VALUE,...`, and the metric that they are of where it is named."""
    if text is None:
        return None, []
    metric, named, values = text.rpartition("=")
    found = numbers(option, values, "0.5 or test-accuracy=0.85")
    if (named and not metric.strip()) or not all(map(isfinite, found)):
        raise ScenarioError(
            f"{option} = {short(text)}: must be finite numbers, with the metric's name before "
            "them if it isn't the usual one, such as 0.5 or test-accuracy=0.85"
        )
    return metric.strip() or None, found
