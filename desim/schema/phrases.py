"""Words for messages: units, values, keys and suggestions."""

import difflib
import re

_UNITS: tuple[tuple[str, str], ...] = (
    ("_bytes_per_s", "bytes/s"),
    ("_per_s", ""),
    ("_bps", "bit/s"),
    ("_bits", "bits"),
    ("_sps", "samples/s"),
    ("_s", "seconds"),
)


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
        text = " ".join(repr(value).split())
    except (ValueError, RecursionError):  # an integer of thousands of digits, or a list in itself
        text = f"{type(value).__name__}, too long to print"
    return text if len(text) <= 60 else text[:57] + "..."


def spelled(key: str) -> str:
    """A key as it stands in a message: as it is, or quoted where it would be hard to see."""
    if len(key) > 200:
        return short(key)
    return key if key.isprintable() and key.strip() == key != "" else repr(key)


def suggest(word: object, known: list[str]) -> str:
    """A way out for a word that isn't known."""
    close = difflib.get_close_matches(str(word), known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(known)}"


def in_words(name: str) -> str:
    """`WorstLoss` as `worst-loss`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()
