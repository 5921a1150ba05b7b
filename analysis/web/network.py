"""A scenario's network in words: the graph, how messages travel, and what fails."""

from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from desim.analysis.web.phrases import (
    few,
    further,
    is_number,
    is_range,
    listed,
    number,
    phrase,
    scaled,
)

_MOST_OUTAGES = 6
_WAYS = {
    "dedicated": "Every directed link is a wire of its own",
    "fifo": "A worker's messages leave one after another",
    "fair": "Messages under way at the same time share bandwidth fairly",
    "shared-medium": "There is one message at a time in the whole network, which all neighbours "
    "hear",
}
_RATES = {
    "bandwidth_bps": "bandwidth",
    "up_bps": "up links",
    "down_bps": "down links",
    "backbone_bps": "backbone for all",
}
_LINK = ("kind", *_RATES, "latency_s", "jitter_s", "loss", "resend_after_s", "regions", "links")


def network(table: Mapping[str, Any], *, served: bool = False) -> str:
    """Sentences on the table [network], as resolved.

    Args:
        table: the table.
        served: whether any method has a server, which needs no graph.
    """
    if not table:
        return ""
    graph = (
        f"The workers form a graph: {phrase(table.get('topology', '?'))}; "
        f"weights of the average: {phrase(table.get('mixing', '?'))}."
    )
    if served:
        graph += " Those of a method with a server are linked to it alone."
    return f"{graph} {_link(table.get('link'))}"


def _link(link: Any) -> str:
    if not isinstance(link, Mapping) or str(link.get("kind")) not in _WAYS:
        return f"Links: {phrase(link)}."
    facts = [
        f"{word} {scaled(link[key], 'bit/s')}{_drawn(link[key])}"
        for key, word in _RATES.items()
        if key in link
    ]
    if "latency_s" in link:
        facts.append(f"latency {_seconds(link['latency_s'])}{_drawn(link['latency_s'])}")
    if link.get("jitter_s"):
        facts.append(f"random delays of {number(link['jitter_s'])} s in the mean on top")
    parts = [f"{_WAYS[link['kind']]}{': ' if facts else ''}{', '.join(facts)}."]
    if "regions" in link:
        parts.append(_regions(link["regions"]))
    match link.get("links"):
        case {"file": file}:
            parts.append(f"Links that the file {file} names are as it says.")
        case None:
            pass
        case links:
            parts.append(f"Single links: {phrase(links)}.")
    if link.get("loss"):
        again = number(link.get("resend_after_s", 1.0))
        parts.append(
            f"A message is lost with probability {number(link['loss'])} and sent again after "
            f"{again} s."
        )
    return " ".join([*parts, further(link, _LINK)]).strip()


def _drawn(value: Any) -> str:
    return " (drawn for each)" if is_range(value) else ""


def _seconds(value: Any) -> str:
    if is_range(value):
        return f"{number(value['low'])} to {number(value['high'])} s"
    return f"{number(value)} s"


def _regions(table: Any) -> str:
    match table:
        case {"names": [*names]}:
            place = few([str(name) for name in names])
        case _:
            return f"Regions: {phrase(table)}."
    facts = []
    if trips := _numbers(table.get("round_trip_s")):
        facts.append(f"round trips of {number(min(trips))} to {number(max(trips))} s")
    elif "per_km_s" in table:
        base = number(table.get("base_s", 0.0))
        facts.append(f"a delay of {base} s plus {number(table['per_km_s'])} s for each km")
    rates = [rate for rate in _numbers(table.get("bandwidth_bps")) if rate != inf]
    if rates:
        ends = {"low": min(rates), "high": max(rates)}
        span = scaled(ends if len(set(rates)) > 1 else rates[0], "bit/s")
        facts.append(f"a bandwidth of {span}")
    told = f", with {listed(facts)}" if facts else ""
    turn = "as placed" if "placement" in table else "in turn"
    return f"The workers live in {place}, {turn}{told}."


def _numbers(value: Any) -> list[float]:
    """All numbers in a number, a list or a matrix."""
    if isinstance(value, list):
        return [entry for row in value for entry in _numbers(row)]
    return [value] if is_number(value) else []


def faults(table: Mapping[str, Any]) -> str:
    """Sentences on the table [faults], as resolved."""
    parts = []
    workers, links = table.get("workers"), table.get("links")
    if workers:
        parts.append(_outages(workers, "Workers crash", _worker))
        match table.get("model"):
            case "keep":
                parts.append("One that comes back goes on from its last model.")
            case "reset":
                parts.append("One that comes back begins with the initial model.")
            case None:
                pass
            case model:
                parts.append(f"One that comes back: {phrase(model)}.")
    if links:
        parts.append(_outages(links, "Links fail", _between))
    return " ".join([*parts, further(table, ("workers", "links", "model"))]).strip()


def _outages(given: Any, what: str, who: Callable[[Mapping[str, Any]], str]) -> str:
    match given:
        case {"mean_up_s": up_s, "mean_down_s": down_s}:
            return (
                f"{what} at random: up for {number(up_s)} s and down for {number(down_s)} s in "
                "the mean."
            )
        case [*outages] if all(isinstance(one, Mapping) and "down_s" in one for one in outages):
            told = [f"{who(one)} {_period(one)}" for one in outages]
            return f"Down: {few(told, _MOST_OUTAGES)}."
    return f"{what}: {phrase(given)}."


def _worker(outage: Mapping[str, Any]) -> str:
    return f"worker {number(outage.get('worker', '?'))}"


def _between(outage: Mapping[str, Any]) -> str:
    return f"the link between {number(outage.get('between', '?'))}"


def _period(outage: Mapping[str, Any]) -> str:
    if "up_s" not in outage:
        return f"from {number(outage['down_s'])} s on"
    return f"from {number(outage['down_s'])} to {number(outage['up_s'])} s"
