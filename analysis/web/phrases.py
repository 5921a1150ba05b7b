"""Values and tables of a scenario as phrases, whatever stands in them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

_UNITS = {"s": "s", "bps": "bit/s", "bits": "bits", "sps": "samples/s"}
_PREFIXES = ("", "k", "M", "G", "T", "P", "E")
_MOST_LISTED = 12


def listed(words: Sequence[str]) -> str:
    """`listed(["a", "b", "c"]) == "a, b and c"`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def few(words: Sequence[str], most: int = _MOST_LISTED) -> str:
    """The same, cut where it is long: `few(["a", "b", "c"], 1) == "a and 2 more"`."""
    more = len(words) - most
    return listed([*words[:most], f"{more} more"] if more > 0 else words)


def phrase(value: Any) -> str:
    """A table as its kind with its fields in brackets; anything else as it is."""
    if not isinstance(value, Mapping):
        return number(value)
    rest = {key: entry for key, entry in value.items() if key != "kind"}
    if "kind" not in value:
        return details(rest)
    return f"{value['kind']} ({details(rest)})" if rest else str(value["kind"])


def details(table: Mapping[str, Any]) -> str:
    """The fields of a table, one after another."""
    return ", ".join(_detail(key, value) for key, value in table.items())


def further(table: Mapping[str, Any], told: Sequence[str]) -> str:
    """A sentence with what hasn't been told of a table; nothing, if all has."""
    rest = {key: value for key, value in table.items() if key not in told}
    return f"Further: {details(rest)}." if rest else ""


def _detail(key: str, value: Any) -> str:
    stem, _, unit = key.rpartition("_")
    if stem and unit in _UNITS and not isinstance(value, Mapping):
        return f"{stem.replace('_', ' ')} {number(value)} {_UNITS[unit]}"
    name = key.replace("_", " ")
    return f"{name} {phrase(value)}" if isinstance(value, Mapping) else f"{name} = {number(value)}"


def number(value: Any) -> str:
    """A number with its thousands set apart; a table or list as a phrase, the rest as it is."""
    if isinstance(value, Mapping):
        return phrase(value)
    if isinstance(value, list):
        return listed([number(entry) for entry in value]) if value else "nothing"
    if not is_number(value):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return "unlimited" if value == math.inf else f"{value:,.6g}"


def scaled(value: Any, unit: str) -> str:
    """A quantity with a decimal prefix: `scaled(2.5e9, "bit/s") == "2.5 Gbit/s"`.

    A table {low, high} is a range; what is no number stands as it is.
    """
    if is_range(value):
        return f"{scaled(value['low'], unit)} to {scaled(value['high'], unit)}"
    if not is_number(value) or not math.isfinite(value):
        return number(value)
    step = min(int(math.log10(value) // 3), len(_PREFIXES) - 1) if value >= 1 else 0
    return f"{value / 1000**step:.6g} {_PREFIXES[step]}{unit}"


def is_range(value: Any) -> bool:
    """Whether it is a table {low, high}."""
    return isinstance(value, Mapping) and {"low", "high"} <= value.keys()


def is_number(value: Any) -> bool:
    """Whether it is a number, and not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)
