"""What any value of any table must keep to, whatever it stands for."""

import re
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

#: A table within a table within ...: deeper than any that says something, and far from the depth
#: at which Python's own recursion ends.
MOST_LEVELS = 50

#: Whole numbers are columns of results, which are of 64 bits.
INTEGERS = 2**63

#: Floats are those of 32 bits, which tensors hold. Times and sizes, which are made of several of
#: them in 64 bits, then stay finite.
SMALLEST, LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127

#: Characters that neither names of files nor UTF-8 can hold.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class Broken(NamedTuple):
    """A value that can't stand in any table: where it is, and the rule."""

    key: str
    value: object
    rule: str


def broken(table: dict[Any, Any] | list[Any]) -> Broken | None:
    """The first value that breaks a rule; level by level, so that no depth is too deep for it."""
    level: list[tuple[str, Any]] = [("", table)]
    for _ in range(MOST_LEVELS):
        below: dict[int, tuple[str, Any]] = {}
        for prefix, node in level:
            for name, value in _items(node):
                key = f"{prefix}{name}"
                if isinstance(value, dict | list | tuple):
                    below.setdefault(id(value), (f"{key}.", value))
                elif rule := _rule(value):
                    return Broken(key, value, rule)
                elif isinstance(name, str) and _NO_TEXT.search(name):
                    return Broken(key, value, "its key must be text")
        level = list(below.values())
        if not level:
            return None
    return Broken(
        level[0][0].partition(".")[0], "...", f"must be nested no deeper than {MOST_LEVELS} levels"
    )


def _items(node: Any) -> Iterator[tuple[Any, Any]]:
    return iter(node.items()) if isinstance(node, dict) else enumerate(node)


def _rule(value: object) -> str | None:
    """The rule that a single value breaks."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int) and not -INTEGERS <= value < INTEGERS:
        return "must be less than 2^63 in size, as a whole number"
    if isinstance(value, float) and value and not SMALLEST <= abs(value) <= LARGEST:
        finite = abs(value) <= sys.float_info.max  # the others have rules of their own
        return (
            f"must be 0 or from {SMALLEST:.4g} to {LARGEST:.4g} in size, the numbers of 32 bits"
            if finite
            else None
        )
    if isinstance(value, str) and _NO_TEXT.search(value):
        return "must be text, without NUL and halves of characters"
    return None
