"""One of a scenario's methods in words."""

from collections.abc import Mapping
from typing import Any

from desim.analysis.web.phrases import details, further, listed, number, phrase

_TOLD = {
    "batch": "Batches of {} samples.",
    "expected_batch": "Batches of {} samples on average, by a deadline.",
    "deadline_s": "Computes for {} simulated s in every step.",
    "step_size": "Step size: {}.",
    "topology": "Its own graph: {}.",
    "mixing": "Its own weights of the average: {}.",
}
_COMPRESSORS = {
    "compressor": "Compressor of its messages: {}.",
    "model_compressor": "Compressor of the server's models: {}.",
}
_OPTIMIZER = ("momentum", "nesterov", "weight_decay", "clip_norm")


def method(entry: Mapping[str, Any]) -> str:
    """Sentences on one table of [[algorithms]], as resolved."""
    parts = [f"Method {entry.get('kind', '?')}."]
    parts += [text.format(phrase(entry[key])) for key, text in _TOLD.items() if key in entry]
    parts += [
        text.format(compressor(entry[key])) for key, text in _COMPRESSORS.items() if key in entry
    ]
    if "optimizer" in entry:
        parts.append(_optimizer(entry["optimizer"]))
    parts.append(further(entry, ("kind", "label", "optimizer", *_TOLD, *_COMPRESSORS)))
    return " ".join(part for part in parts if part)


def compressor(table: Any) -> str:
    """A compressor, from the innermost to what is around it."""
    match table:
        case {"kind": "none", "bits": bits, **rest}:
            return f"none ({_and(f'{number(bits)}-bit floats', rest)})"
        case {"kind": "error-feedback", "compressor": inner, **rest}:
            return _and(f"{compressor(inner)}, with error feedback", rest)
        case {"kind": "per-layer", "compressor": inner, **rest}:
            return _and(f"{compressor(inner)}, each layer on its own", rest)
    return phrase(table)


def _and(told: str, rest: Mapping[Any, Any]) -> str:
    return f"{told}, {details(rest)}" if rest else told


def _optimizer(table: Any) -> str:
    """What is done to gradients before the method sees them; nothing, if that is nothing."""
    if not isinstance(table, Mapping):
        return f"Optimizer: {phrase(table)}."
    facts = []
    if table.get("clip_norm"):
        facts.append(f"gradients clipped to a norm of {number(table['clip_norm'])}")
    if table.get("weight_decay"):
        facts.append(f"weight decay of {number(table['weight_decay'])}")
    if table.get("momentum"):
        ahead = "Nesterov " if table.get("nesterov") is True else ""
        facts.append(f"{ahead}momentum of {number(table['momentum'])}")
    if rest := {key: value for key, value in table.items() if key not in _OPTIMIZER}:
        facts.append(details(rest))
    return f"Optimizer: {listed(facts)}." if facts else ""
