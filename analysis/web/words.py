"""A scenario in words, from its resolved tables; what isn't known by name is told key by key."""

import math
from collections.abc import Mapping
from typing import Any

from analysis.results import label_of

_UNITS = {"s": "s", "bps": "bit/s", "bits": "bits", "sps": "samples/s"}


def sentences(scenario: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Headings, each with a sentence or two in plain text.

    Args:
        scenario: from `results.scenario`; a table that is missing is left out.
    """
    told = {
        "Cluster": _cluster(scenario.get("cluster", {})),
        "Network": _network(scenario.get("network", {})),
        "Problem": _problem(scenario.get("problem", {})),
        "End": _end(scenario.get("stop", {}), scenario.get("evaluate", {})),
        "Seeds": _seeds(scenario.get("seeds", [])),
        "Sweep": _sweep(scenario.get("sweep", {})),
    }
    return [(heading, text) for heading, text in told.items() if text]


def methods(scenario: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each method's label (or its kind, a class of the user's own by its name), and what it is."""
    return [(label_of(entry), _method(entry)) for entry in scenario.get("algorithms", [])]


def listed(words: list[str]) -> str:
    """`listed(["a", "b", "c"]) == "a, b and c"`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _cluster(table: Mapping[str, Any]) -> str:
    law = table.get("compute", {})
    if not table:
        return ""
    match law:
        case {"kind": "uniform-speed", "low": low, "high": high}:
            speed = (
                f"Each computes at between {number(low)} and {number(high)} samples/s, "
                "drawn anew at every step."
            )
        case {"kind": "constant", "speed_sps": speed_sps}:
            speed = f"Each computes {number(speed_sps)} samples/s at every step."
        case _:
            speed = f"Their compute speed: {phrase(law)}."
    memory = table.get("memory_bps")
    cost = f" Averaging reads and writes {number(memory)} bit/s." if memory else ""
    return f"{number(table.get('workers', 0))} workers. {speed}{cost}"


def _network(table: Mapping[str, Any]) -> str:
    if not table:
        return ""
    graph = (
        f"The workers form a graph: {phrase(table.get('topology', '?'))}; "
        f"weights of the average: {phrase(table.get('mixing', '?'))}."
    )
    match table.get("link"):
        case {"kind": "dedicated", "bandwidth_bps": bandwidth_bps, "latency_s": latency_s}:
            return (
                f"{graph} Every directed link is a wire of its own, with a bandwidth of "
                f"{_range(bandwidth_bps)} bit/s and a latency of {_range(latency_s)} s."
            )
        case link:
            return f"{graph} Links: {phrase(link)}."


def _problem(table: Mapping[str, Any]) -> str:
    if not table:
        return ""
    rest = {k: v for k, v in table.items() if k not in ("dataset", "model", "samples_per_worker")}
    held = table.get("samples_per_worker")
    share = f" Each worker holds {number(held)} samples." if held else ""
    details = f" Further: {_details(rest)}." if rest else ""
    return (
        f"Data: {phrase(table.get('dataset', '?'))}. Model: {phrase(table.get('model', '?'))}."
        f"{share}{details}"
    )


def _end(stop: Mapping[str, Any], evaluate: Mapping[str, Any]) -> str:
    rules = {
        "time_s": "{} simulated s",
        "rounds": "{} rounds (mean local steps per worker)",
        "steps": "{} local steps over all workers",
        "target_train_loss": "a training loss of {}",
    }
    ends = [text.format(number(stop[key])) for key, text in rules.items() if key in stop]
    pace = {"every_s": "{} simulated s", "every_rounds": "{} rounds"}
    looks = [text.format(number(evaluate[key])) for key, text in pace.items() if key in evaluate]
    parts = []
    if ends:
        first = " or ".join(ends) + (", whichever comes first" if len(ends) > 1 else "")
        parts.append(f"A trial ends at {first}.")
    if looks:
        model = "The mean model"
        if evaluate.get("iterate") == "average":
            model += ", averaged over all rounds so far,"
        parts.append(f"{model} is evaluated every {looks[0]}.")
    return " ".join(parts)


def _seeds(seeds: list[Any]) -> str:
    if not seeds:
        return ""
    word = "seed" if len(seeds) == 1 else "seeds"
    return f"One trial of each method for {word} {listed([str(seed) for seed in seeds])}."


def _sweep(table: Mapping[str, Any]) -> str:
    parts = [
        f"{key} takes the values {listed([_value(value) for value in values])}"
        for key, values in table.items()
    ]
    return f"{'; '.join(parts)}." if parts else ""


def _method(entry: Mapping[str, Any]) -> str:
    told = {
        "batch": "Batches of {} samples.",
        "expected_batch": "Batches of {} samples on average, by a deadline.",
        "deadline_s": "Computes for {} simulated s in every step.",
        "step_size": "Step size: {}.",
        "compressor": "Compressor of its messages: {}.",
    }
    rest = {key: value for key, value in entry.items() if key not in {"kind", "label", *told}}
    parts = [f"Method {entry.get('kind', '?')}."]
    parts += [text.format(phrase(entry[key])) for key, text in told.items() if key in entry]
    return " ".join([*parts, f"Further: {_details(rest)}."] if rest else parts)


def phrase(value: Any) -> str:
    """A table as its kind with its fields in brackets; anything else as it is."""
    if not isinstance(value, Mapping):
        return _value(value)
    rest = {key: entry for key, entry in value.items() if key != "kind"}
    if "kind" not in value:
        return _details(rest)
    return f"{value['kind']} ({_details(rest)})" if rest else str(value["kind"])


def _details(table: Mapping[str, Any]) -> str:
    return ", ".join(_detail(key, value) for key, value in table.items())


def _detail(key: str, value: Any) -> str:
    stem, _, unit = key.rpartition("_")
    if stem and unit in _UNITS and not isinstance(value, Mapping):
        return f"{stem.replace('_', ' ')} {_value(value)} {_UNITS[unit]}"
    name = key.replace("_", " ")
    return f"{name} {phrase(value)}" if isinstance(value, Mapping) else f"{name} = {_value(value)}"


def _range(value: Any) -> str:
    if isinstance(value, Mapping) and {"low", "high"} <= value.keys():
        return f"{number(value['low'])} to {number(value['high'])} (drawn per link)"
    return number(value)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return phrase(value)
    if isinstance(value, list):
        return listed([_value(entry) for entry in value]) if value else "nothing"
    return number(value)


def number(value: Any) -> str:
    """A number with its thousands set apart; anything else as text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return "unlimited" if value == math.inf else f"{value:,.6g}"
