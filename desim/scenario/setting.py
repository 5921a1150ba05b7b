"""The tables of a scenario that say where and how long: and all that one trial depends on."""

from dataclasses import dataclass
from typing import Annotated, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from desim.algorithms.base import Algorithm
from desim.clock.faults import Faults
from desim.clock.fleet import Fleet, Group
from desim.clock.hardware import Cost, Hardware, Timing
from desim.clock.links.base import LinkModel
from desim.clock.stragglers.base import StragglerModel
from desim.clock.stragglers.none import NoStragglers
from desim.errors import ScenarioError
from desim.metrics.base import Metric
from desim.mixings.base import LaterWeights, Mixing, Weights
from desim.mixings.metropolis import Metropolis
from desim.scenario.stopping import Evaluate, Stop, measured
from desim.schema.registry import Table
from desim.step_sizes._checked import checked
from desim.step_sizes.base import StepSize
from desim.streams import Streams
from desim.tensors.problem import Problem
from desim.topologies.base import Graph, Topology

_MOST_WORKERS = 1_000_000


def _listed(value: object) -> object:
    """One table of hardware is a list of one."""
    return value if isinstance(value, list | tuple) else [value]


class Cluster(Table):
    """The workers.

    Attributes:
        workers: how many, from 2 to a million; left out, as many as `hardware` counts.
        hardware: their machines, one table or a list with a count each, given to the workers in
            turn; left out, one sample per second, so that the speeds of `stragglers` are samples/s.
        stragglers: how the speed of each varies.
        server: the machine of the server, for methods that have one: its access link counts, and
            with `charge_memory` its memory. Left out, its link is as the network's `link` says. It
            never fails.
        charge_memory: whether compressing and averaging take time, that in which the bytes they
            read and write pass through the machine's memory: little beside a gradient.
    """

    workers: Annotated[int, Field(ge=2, le=_MOST_WORKERS)] | None = None
    hardware: Annotated[tuple[Hardware, ...], BeforeValidator(_listed), Field(strict=False)] = ()
    stragglers: StragglerModel = NoStragglers()
    server: Hardware | None = None
    charge_memory: bool = False

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if not self.hardware and "stragglers" not in self.model_fields_set:
            raise ValueError(
                "needs hardware (such as {speed_sps = 50.0}) or stragglers, to say how fast it is"
            )
        counts = [machine.count for machine in self._machines()]
        if self.workers is None and None in counts:
            raise ValueError("needs workers, or a count in each table of hardware")
        if None in counts and len(counts) > 1:
            raise ValueError(
                f"hardware.{counts.index(None)}.count = None: must be given, as there are several"
            )
        counted = sum(count or 0 for count in counts)
        if self.workers is not None and counted not in (0, self.workers):
            raise ValueError(
                f"workers = {self.workers}: the counts of hardware add up to {counted}; must be as "
                "many, or leave workers out"
            )
        if not 2 <= self.size <= _MOST_WORKERS:
            raise ValueError(
                f"workers = {self.size}: the counts of hardware add up to that; must be from 2 to "
                f"{_MOST_WORKERS:,}"
            )
        if self.charge_memory:
            for place, machine in enumerate(self._machines()):
                if machine.resolved().memory_bytes_per_s is None:
                    raise ValueError(
                        f"charge_memory = true: needs memory_bytes_per_s in hardware.{place}"
                    )
        if self.server is not None and (self.server.count or self.server.stragglers):
            raise ValueError("server: has neither a count nor stragglers; it computes no gradients")
        for key, model in self._straggler_models():
            try:
                model.check(self.size)
            except ValueError as error:
                raise ValueError(f"{key}.{error}") from None
        return self

    def _machines(self) -> tuple[Hardware, ...]:
        return self.hardware or (Hardware(speed_sps=1.0),)

    def _straggler_models(self) -> list[tuple[str, StragglerModel]]:
        own = [machine.resolved().stragglers for machine in self._machines()]
        found = [(f"hardware.{k}.stragglers", model) for k, model in enumerate(own) if model]
        return [*found, ("stragglers", self.stragglers)]

    @property
    def size(self) -> int:
        """The number of workers."""
        return self.workers or sum(machine.count or 0 for machine in self._machines())

    def needs_cost(self) -> bool:
        """Whether a machine's time depends on what the model costs."""
        return any(machine.resolved().speed_sps is None for machine in self._machines())

    def fleet(self, cost: Cost | None) -> Fleet:
        """The workers' machines with their speeds, for a model of this cost."""
        return Fleet(
            [(machine, machine.count or self.size) for machine in self._machines()],
            self.stragglers,
            cost,
        )


class Network(Table):
    """What connects the workers.

    Attributes:
        topology: who sends to whom.
        mixing: the weights of the average.
        link: how a message travels.
    """

    topology: Topology
    mixing: Mixing
    link: LinkModel

    def graph(self, workers: int, streams: Streams, algorithm: Algorithm | None = None) -> Graph:
        """Who sends to whom; an algorithm may have a topology of its own.

        Raises:
            ScenarioError: there is no such graph, or the links don't fit it.
        """
        if algorithm is not None and algorithm.has_server:
            graph = Graph((*[np.array([workers])] * workers, np.arange(workers)))
        else:
            topology = (algorithm and algorithm.topology) or self.topology
            graph = topology.build(workers, streams.generator("graph"))
        self.link.check([row.tolist() for row in graph.targets])
        return graph

    def weights(self, workers: int, streams: Streams) -> Weights:
        """The graph and its mixing matrix.

        Raises:
            ScenarioError: there is no such graph or matrix, or the links don't fit it.
        """
        return self.mixing.build(self.graph(workers, streams))


@dataclass(frozen=True)
class Setting:
    """Everything that one trial depends on besides the machine."""

    problem: Problem
    cluster: Cluster
    network: Network
    stop: Stop
    evaluate: Evaluate
    algorithm: Algorithm
    seed: int
    faults: Faults | None = None

    def metrics(self) -> tuple[Metric, ...]:
        """The standard metrics, those asked for, and those of stop rules."""
        return measured(self.evaluate, self.stop)

    def step_size(self) -> StepSize:
        """alpha and epsilon, with the horizon filled in."""
        return checked(self.algorithm.step_size.within(self.stop.rounds, self.stop.time_s))

    def fleet(self, streams: Streams) -> Fleet:
        """The workers' machines; the model's cost is counted where one depends on it."""
        cost = self.problem.cost(streams) if self.cluster.needs_cost() else None
        return self.cluster.fleet(cost)

    def machines(self, fleet: Fleet) -> list[Group]:
        """The machine of each worker, and of the server where there is one."""
        if not self.algorithm.has_server:
            return fleet.workers()
        hardware = (self.cluster.server or Hardware(speed_sps=1.0)).resolved()
        return [*fleet.workers(), Group(hardware, 1, Timing(0.0, 1.0), NoStragglers())]

    def weights(self, streams: Streams) -> Weights:
        """The graph that the algorithm runs on, and its mixing matrix.

        The matrix is built when it is first asked for, so that a method that never averages with it
        runs where there is none; a ScenarioError is then raised.

        Raises:
            ScenarioError: there is no such graph, or the links don't fit it.
        """
        graph = self.network.graph(self.cluster.size, streams, self.algorithm)
        return LaterWeights(graph, lambda: self._mixed(graph))

    def _mixed(self, graph: Graph) -> Weights:
        algorithm = self.algorithm
        if algorithm.has_server:
            return Metropolis().build(graph)
        mixing = algorithm.mixing or self.network.mixing
        weights = mixing.build(graph)
        if algorithm.averages and not weights.doubly_stochastic:
            raise ScenarioError(
                f"algorithms.{algorithm.name}: needs a W whose rows and columns sum to 1, which "
                f"mixing = {mixing.table()} doesn't give on this graph; take another mixing, or a "
                "push-sum method such as sgp"
            )
        return weights
