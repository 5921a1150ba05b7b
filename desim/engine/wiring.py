"""The network of a trial: who is linked with whom, and by what."""

from collections.abc import Callable

import simpy

from desim.clock.eventful import EventfulNetwork
from desim.clock.faults import FaultSchedule
from desim.clock.fleet import Fleet
from desim.clock.links.base import Deployment
from desim.clock.network import Network
from desim.clock.timeline import Timeline
from desim.scenario.setting import Setting
from desim.streams import Streams
from desim.topologies.base import Graph


def site(
    setting: Setting,
    graph: Graph,
    fleet: Fleet,
    streams: Streams,
    env: simpy.Environment,
    *,
    apart: bool = False,
) -> Deployment:
    """What links need to know: who sends to whom, and with which access links."""
    machines = [group.hardware for group in setting.machines(fleet)]
    return Deployment(
        [row.tolist() for row in graph.targets],
        streams,
        env,
        [machine.up_bps for machine in machines],
        [machine.down_bps for machine in machines],
        apart=apart,
    )


def network(
    setting: Setting,
    graph: Graph,
    fleet: Fleet,
    faults: FaultSchedule,
    streams: Streams,
    env: simpy.Environment,
    timeline: Timeline,
    give_up: Callable[[int], None],
) -> Network:
    """The plain network, or where a message's fate isn't known when it is sent, the eventful one.

    Args:
        setting: the trial.
        graph: who sends to whom.
        fleet: the workers' machines.
        faults: when workers and links are down.
        streams: for links that differ at random, and for losses.
        env: the clock.
        timeline: where departures and arrivals are noted.
        give_up: see `EventfulNetwork`.
    """
    link, skips = setting.network.link, setting.algorithm.skips
    neighbours = [row.tolist() for row in graph.neighbours]
    losses = link.losses()
    eventful = not link.known or losses[0] > 0 or faults.any or skips
    links = link.build(site(setting, graph, fleet, streams, env, apart=eventful))
    if not eventful:
        return Network(env, neighbours, links, timeline)
    return EventfulNetwork(
        env, neighbours, links, timeline, losses, faults, streams, skips, give_up
    )
