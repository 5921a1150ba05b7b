"""TOML: read with every error a ValueError; and written on one line, to be pasted somewhere."""

import tomllib
from collections.abc import Mapping
from typing import Any

import tomli_w


def parsed(text: str) -> dict[str, Any]:
    """The table that a text stands for.

    Raises:
        ValueError: it is no TOML, in one line.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise ValueError("its tables or lists are nested too deep") from None
    except ValueError:  # the only other one: Python reads no integer of so many digits
        raise ValueError("has a whole number of thousands of digits") from None


def inline(value: object) -> str:
    """A value as TOML writes it on one line, such as `{kind = "pareto", index = 2.5}`.

    Args:
        value: a table, list, string, truth value or number; tables' keys are bare words.

    Raises:
        TypeError: anything else.
    """
    match value:
        case Mapping():
            return "{" + ", ".join(f"{key} = {inline(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(inline, value)) + "]"
    # tomli_w writes tables on lines of their own, whatever is in them.
    return tomli_w.dumps({"value": value}).removeprefix("value = ").removesuffix("\n")


def comment(text: str) -> str:
    """A text as comment lines, whatever characters are in it."""
    safe = ("".join(c if c.isprintable() else "?" for c in line) for line in text.split("\n"))
    return "\n".join(f"# {line}".rstrip() for line in safe)


def six_digits(value: float) -> float:
    """A number with six significant digits: more than any fit can know."""
    return float(f"{value:.6g}")
