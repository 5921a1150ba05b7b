"""Words for messages: units, values, keys and suggestions."""

import difflib
import re
from collections.abc import Sequence

_UNITS: tuple[tuple[str, str], ...] = (
    ("_bytes_per_s", "bytes/s"),
    ("_per_s", ""),
    ("_bps", "bit/s"),
    ("_bits", "bits"),
    ("_sps", "samples/s"),
    ("_s", "seconds"),
)

#: A word is compared with others up to so many letters.
_LONGEST = 100


def unit_of(key: str) -> str:
    """', in seconds' for a key that ends in _s, and so on."""
    return next((f", in {unit}" for ending, unit in _UNITS if key.endswith(ending) and unit), "")


def unit_hint(key: object) -> str:
    """A hint where a key carries a unit that desim doesn't use."""
    if str(key).endswith(("_ms", "_us", "_min", "_kbps", "_mbps", "_gbps", "_bytes")):
        return "desim's units are seconds (_s), bits (_bits) and bit/s (_bps); "
    return ""


def short(value: object) -> str:
    """A value as it stands in a message: one line, never long."""
    try:
        text = " ".join(without_addresses(repr(value)).split())
    except (ValueError, RecursionError):  # an integer of thousands of digits, or a list in itself
        text = f"{type(value).__name__}, too long to print"
    return text if len(text) <= 60 else text[:57] + "..."


def one_line(error: object) -> str:
    """What another library says of a file, in one line of letters that can be seen, never long."""
    words = " ".join(str(error).split()) or type(error).__name__
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in words)
    return text if len(text) <= 300 else text[:297] + "..."


def spelled(key: str) -> str:
    """A key as it stands in a message: as it is, or quoted where it would be hard to see."""
    if len(key) > 200:
        return short(key)
    return key if key.isprintable() and key.strip() == key != "" else repr(key)


def suggest(word: object, known: Sequence[str]) -> str:
    """A way out for a word that isn't known.

    Only what has the same digits is close: who follows a suggestion must not end with ten times as
    much.
    """
    text = str(word)[:_LONGEST]
    alike = {one.casefold(): one for one in known if _digits(one) == _digits(text)}
    close = difflib.get_close_matches(text.casefold(), alike, n=1)
    return f"did you mean {alike[close[0]]!r}?" if close else f"choose from {', '.join(known)}"


def _digits(word: str) -> list[str]:
    return re.findall(r"\d+", word)


def in_words(name: str) -> str:
    """`WorstLoss` as `worst-loss`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


def without_addresses(text: str) -> str:
    """A `repr` without the places of objects in memory."""
    return re.sub(r" at 0x[0-9A-Fa-f]+", "", text)
