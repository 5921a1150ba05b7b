"""A scenario in words, from its resolved tables; what isn't known by name is told key by key."""

from collections.abc import Mapping
from typing import Any

from desim.analysis.results import label_of
from desim.analysis.web.cluster import cluster
from desim.analysis.web.method import method
from desim.analysis.web.network import faults, network
from desim.analysis.web.phrases import further, listed, number, phrase

_ENDS = {
    "time_s": "{} simulated s",
    "rounds": "{} rounds (mean local steps per worker)",
    "steps": "{} local steps over all workers",
    "target_train_loss": "a training loss of {}",
}
_PACE = {"every_s": "{} simulated s", "every_rounds": "{} rounds"}


def sentences(scenario: Mapping[str, Any], *, served: bool = False) -> list[tuple[str, str]]:
    """Headings, each with a sentence or two in plain text.

    Args:
        scenario: from `results.scenario`; a table that is missing is left out.
        served: whether any of its methods has a server.
    """
    told = {
        "Cluster": cluster(scenario.get("cluster", {})),
        "Network": network(scenario.get("network", {}), served=served),
        "Faults": faults(scenario.get("faults", {})),
        "Problem": _problem(scenario.get("problem", {})),
        "End": _end(scenario.get("stop", {}), scenario.get("evaluate", {}), served=served),
        "Seeds": _seeds(scenario.get("seeds", [])),
        "Sweep": _sweep(scenario.get("sweep", {})),
    }
    return [(heading, text) for heading, text in told.items() if text]


def methods(scenario: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each method's label (or its kind, a class of the user's own by its name), and what it is."""
    return [(label_of(entry), method(entry)) for entry in scenario.get("algorithms", [])]


def _problem(table: Mapping[str, Any]) -> str:
    if not table:
        return ""
    held = table.get("samples_per_worker")
    parts = [
        f"Data: {phrase(table.get('dataset', '?'))}.",
        f"Model: {phrase(table.get('model', '?'))}.",
        f"Each worker holds {number(held)} samples." if held else "",
        further(table, ("dataset", "model", "samples_per_worker")),
    ]
    return " ".join(part for part in parts if part)


def _end(stop: Mapping[str, Any], evaluate: Mapping[str, Any], *, served: bool) -> str:
    ends = [text.format(number(stop[key])) for key, text in _ENDS.items() if key in stop]
    match stop.get("target"):
        case {"metric": metric, "value": value, **rest}:
            side = {"above": " or above", "below": " or below"}.get(str(rest.get("when")), "")
            ends.append(f"a {_member(metric)} of {number(value)}{side}")
        case None:
            pass
        case target:
            ends.append(f"a target: {phrase(target)}")
    rules = stop.get("rules")
    ends += [_member(rule) for rule in rules] if isinstance(rules, list) else []
    pace = [text.format(number(evaluate[key])) for key, text in _PACE.items() if key in evaluate]
    parts = []
    if ends:
        first = " or ".join(ends) + (", whichever comes first" if len(ends) > 1 else "")
        parts.append(f"A trial ends at {first}.")
    if pace:
        model = "The mean model"
        if served:
            model += " (the server's, where a method has one)"
        if evaluate.get("iterate") == "average":
            model += ", averaged over all rounds so far,"
        parts.append(f"{model} is evaluated every {pace[0]}.")
    if metrics := evaluate.get("metrics"):
        asked = metrics if isinstance(metrics, list) else [metrics]
        parts.append(f"Also measured: {listed([_member(one) for one in asked])}.")
    return " ".join(parts)


def _member(table: Any) -> str:
    """A metric or a rule, without the label that it has not been given."""
    if isinstance(table, Mapping):
        return phrase({key: value for key, value in table.items() if value != ""})
    return phrase(table)


def _seeds(seeds: list[Any]) -> str:
    if not seeds:
        return ""
    word = "seed" if len(seeds) == 1 else "seeds"
    return f"One trial of each method for {word} {listed([str(seed) for seed in seeds])}."


def _sweep(table: Mapping[str, Any]) -> str:
    parts = [
        f"{key} takes the values {listed([number(value) for value in values])}"
        for key, values in table.items()
    ]
    return f"{'; '.join(parts)}." if parts else ""
