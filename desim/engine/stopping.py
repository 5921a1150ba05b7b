"""When a trial ends: the limits that its rules set, and trials that can't go on."""

from collections.abc import Sequence
from typing import NamedTuple

from desim.stops.base import StopRule
from desim.worker.simulated import SimulatedWorker

#: So many workers are named when a trial has stalled.
_NAMED = 5

#: Why a trial has stalled whose clock has run out of events.
NOTHING_LEFT = "nothing can happen any more"


class Limit(NamedTuple):
    """A time or a number of local steps that ends a trial, inf for none, and the rule behind it."""

    at: float
    rule: str


def time_limit(rules: Sequence[StopRule]) -> Limit:
    """The first time that a rule names, in simulated seconds."""
    return min((Limit(rule.at_time_s(), rule.name) for rule in rules), key=lambda limit: limit.at)


def step_limit(rules: Sequence[StopRule], workers: int) -> Limit:
    """The least number of local steps over all workers; of equal ones the later rule counts."""
    limits = [Limit(rule.at_steps(workers), rule.name) for rule in reversed(rules)]
    return min(limits, key=lambda limit: limit.at)


def why_stalled(
    time_s: float,
    why: str,
    workers: Sequence[SimulatedWorker],
    server: SimulatedWorker | None,
) -> str:
    """Who waits for whom, in one line.

    Args:
        time_s: the simulated time.
        why: what is known of the reason.
        workers: all workers.
        server: where there is one.
    """
    nodes = [*([server] if server else []), *workers]
    said = [
        f"{'the server' if node is server else f'worker {node.id}'} waits for "
        f"{'the server' if server and whom == [server.id] else _few(whom)}"
        for node in nodes
        if (whom := node.waits_for()) is not None
    ]
    away = [worker.id for worker in workers if not worker.present]
    said = said[:_NAMED] + [f"{len(said) - _NAMED} more wait"] * (len(said) > _NAMED)
    said += [f"{_few(away)} away"] if away else []
    if why == NOTHING_LEFT and not said:
        said = ["nobody waits for anybody; are all speeds 0?"]
    return f"at {time_s:g} s {why}" + (f": {'; '.join(said)}" if said else "")


def _few(workers: Sequence[int]) -> str:
    """Workers in words, not too many."""
    words = ", ".join(str(worker) for worker in workers[:_NAMED])
    return words + (f" and {len(workers) - _NAMED} more" if len(workers) > _NAMED else "")
