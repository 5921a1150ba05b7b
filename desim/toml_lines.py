"""TOML on one line, for what is to be pasted into a scenario or a profile."""

from collections.abc import Mapping, Sequence


def inline(value: object) -> str:
    """A value as TOML writes it on one line, such as `{kind = "pareto", index = 2.5}`.

    Args:
        value: a table, list, string, truth value or number; tables' keys are bare words.

    Raises:
        TypeError: anything else.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return quoted(value)
        case Mapping():
            return "{" + ", ".join(f"{key} = {inline(item)}" for key, item in value.items()) + "}"
        case Sequence():
            return "[" + ", ".join(map(inline, value)) + "]"
    raise TypeError(f"{value!r}: has no form on one line of TOML")


def quoted(text: str) -> str:
    """A basic string of TOML, with quotes, backslashes and control characters escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'


def comment(text: str) -> str:
    """A text as comment lines, whatever characters are in it."""
    safe = ("".join(c if c.isprintable() else "?" for c in line) for line in text.split("\n"))
    return "\n".join(f"# {line}".rstrip() for line in safe)


def rounded(value: float) -> float:
    """A number with six significant digits: more than any fit can know."""
    return float(f"{value:.6g}")
