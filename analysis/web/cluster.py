"""A scenario's workers in words: their machines, and how their speed varies."""

import math
from collections.abc import Mapping
from typing import Any

from desim.analysis.web.phrases import details, further, is_number, listed, number, phrase, scaled

_CLUSTER = ("workers", "hardware", "stragglers", "server", "charge_memory")
_MACHINE = (
    "name",
    "count",
    "speed_sps",
    "peak_flops_per_s",
    "efficiency",
    "memory_bytes_per_s",
    "operator_s",
    "overhead_s",
    "stragglers",
    "up_bps",
    "down_bps",
)


# A server computes no gradients: these say nothing about it.
_COMPUTING = ("speed_sps", "peak_flops_per_s", "efficiency", "operator_s", "overhead_s")


def cluster(table: Mapping[str, Any]) -> str:
    """Sentences on the table [cluster], as resolved."""
    if not table:
        return ""
    machines = table.get("hardware") or []
    if not isinstance(machines, list) or not all(isinstance(m, Mapping) for m in machines):
        return f"{details(table)}."
    counts = [machine.get("count") for machine in machines]
    workers = table.get("workers", sum(count for count in counts if is_number(count)))
    parts = [f"{number(workers)} workers."]
    if machines:
        parts.append(f"Machines: {'; '.join(_machine(machine) for machine in machines)}.")
    if "stragglers" in table:
        own = any("stragglers" in machine for machine in machines)
        parts.append(_stragglers(table["stragglers"], alone=not machines, others=own))
    if "server" in table:
        parts.append(_server(table["server"]))
    if table.get("charge_memory") is True:
        parts.append(
            "Compressing and averaging take as long as what they read and write takes through the "
            "machine's memory."
        )
    return " ".join(part for part in [*parts, further(table, _CLUSTER)] if part)


def _server(table: Any) -> str:
    """The server's machine; nothing, if nothing is known of what it does."""
    if not isinstance(table, Mapping):
        return f"Server: {phrase(table)}."
    told = _machine({key: value for key, value in table.items() if key not in _COMPUTING})
    return f"The server, of a method that has one: {told}." if told else ""


def _machine(table: Mapping[str, Any]) -> str:
    """One kind of machine: `4 x raspberry-pi-4 (48 Gflop/s at an efficiency of 0.33, ...)`."""
    facts = []
    if "speed_sps" in table:
        facts.append(f"{number(table['speed_sps'])} samples/s")
    elif "peak_flops_per_s" in table:
        share = table.get("efficiency", 1.0)
        reached = "" if share == 1.0 else f" at an efficiency of {number(share)}"
        facts.append(f"{scaled(table['peak_flops_per_s'], 'flop/s')}{reached}")
    if "memory_bytes_per_s" in table:
        facts.append(f"memory {scaled(table['memory_bytes_per_s'], 'B/s')}")
    if table.get("operator_s"):
        facts.append(f"{number(table['operator_s'])} s for each operator")
    if table.get("overhead_s"):
        facts.append(f"{number(table['overhead_s'])} s more for each gradient")
    facts += [
        f"{way} link {scaled(table[f'{way}_bps'], 'bit/s')}"
        for way in ("up", "down")
        if f"{way}_bps" in table
    ]
    if "stragglers" in table:
        facts.append(f"stragglers of its own: {_short(table['stragglers'])}")
    if rest := {key: value for key, value in table.items() if key not in _MACHINE}:
        facts.append(details(rest))
    told = ", ".join(facts)
    many = number(table["count"]) if "count" in table else ""
    if "name" not in table:
        return f"{many} of {told}" if many else told
    head = f"{many} x {table['name']}" if many else str(table["name"])
    return f"{head} ({told})" if told else head


def _stragglers(model: Any, *, alone: bool, others: bool) -> str:
    """How the speed varies.

    Args:
        model: the table.
        alone: whether the cluster names no hardware, so that speeds are samples per second.
        others: whether some machines have a model of their own, so that this one is the others'.
    """
    drawn = "drawn anew at every step"
    if isinstance(model, Mapping) and model.get("persistent") is True:
        drawn = "drawn once for each worker"
    if law := _law(model):
        subject = "The seconds for a sample are" if alone else "The factor on a machine's time is"
        return f"{subject} {law}, {drawn}."
    match model:
        case {"kind": "none"}:
            whose = "The others' speed" if others else "Their speed"
            return "Each computes 1 sample/s." if alone else f"{whose} doesn't vary."
        case {"kind": "uniform-speed", "low": low, "high": high}:
            span = f"between {number(low)} and {number(high)}"
            speed = (
                f"computes at {span} samples/s"
                if alone
                else f"is {span} times as fast as its machine"
            )
            return f"Each {speed}, {drawn}."
        case {"kind": "markov", "slow_fraction": part, "mean_slow_s": slow_s, "factor": factor}:
            return (
                f"Each worker is {number(factor)} times slower at random times, which last "
                f"{number(slow_s)} s in the mean and make up a share of {number(part)} of all time."
            )
        case {"kind": "trace", "file": file}:
            again = f", again every {number(model['repeat_s'])} s" if "repeat_s" in model else ""
            return f"Speeds over time are those in the file {file}{again}."
        case {"kind": "mixture", "models": [*models], "weights": [*weights]} if len(models) == len(
            weights
        ) and all(is_number(w) and w > 0 for w in weights):
            shares = [
                f"{_short(one)} with probability {number(weight / sum(weights))}"
                for one, weight in zip(models, weights, strict=True)
            ]
            return f"Stragglers are of several kinds, {drawn}: {listed(shares)}."
    return f"Their speed: {phrase(model)}."


def _short(model: Any) -> str:
    return _law(model) or phrase(model)


def _law(model: Any) -> str:
    """The distribution of 1 / speed in words; nothing for what isn't one of these."""
    match model:
        case {"kind": "exponential", "mean": mean}:
            return f"exponential with a mean of {number(mean)}"
        case {"kind": "shifted-exponential", "shift": shift, "mean": mean}:
            return f"{number(shift)} plus an exponential with a mean of {number(mean)}"
        case {"kind": "lognormal", "sigma": sigma, "mu": mu} if is_number(mu) and abs(mu) < 100:
            median = number(math.exp(mu))
            return f"log-normal with a median of {median} and a sigma of {number(sigma)}"
        case {"kind": "pareto", "index": index, "minimum": minimum}:
            return f"Pareto with an index of {number(index)} and a minimum of {number(minimum)}"
        case {"kind": "bimodal", "slow_fraction": share, "factor": factor}:
            return f"{number(factor)} with probability {number(share)} and else 1"
    return ""
