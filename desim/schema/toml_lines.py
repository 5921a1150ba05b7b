"""TOML on one line, for what is to be pasted into a scenario or a profile."""

from collections.abc import Mapping

import tomli_w


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
