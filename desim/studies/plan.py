"""What a scenario amounts to, before it is run: what `desim check` prints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import simpy

from desim.clock.fleet import Fleet
from desim.engine.wiring import site
from desim.errors import ScenarioError
from desim.mixings.base import Mixing
from desim.scenario.scenario import Scenario
from desim.scenario.setting import Setting
from desim.schema.own_code import named
from desim.streams import Streams
from desim.studies.amounts import (
    Amount,
    amount,
    check_deadline,
    check_numbers,
    length,
    measure,
    tell_repeats,
    usual_bits,
)
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.topologies.base import Graph


@dataclass(frozen=True)
class MethodPlan:
    """What one algorithm does.

    Attributes:
        label: its name.
        alpha, epsilon: its step sizes, each at the beginning and at the end of a trial: of its
            rounds, or of those that its time is worth at `round_s` each.
        compressor: its kind of compressor.
        message_bits: the size of one message.
        message_s: the shortest and the longest time of one message on an idle link.
        round_s: the mean time of a round (local step), simulated over `rounds` rounds; inf where
            no worker ends any.
        rounds: see round_s.
        amount: what one trial amounts to.
        details: what the algorithm says of itself, T_d for one.
    """

    label: str
    alpha: tuple[float, float]
    epsilon: tuple[float, float]
    compressor: str
    message_bits: int
    message_s: tuple[float, float]
    round_s: float
    rounds: int
    amount: Amount
    details: dict[str, Any]


@dataclass(frozen=True)
class Averaging:
    """The network's mixing matrix W.

    Attributes:
        row_sum_error, column_sum_error: how far W is from averaging, at the worst place.
        eigenvalues, spectral_gap: lambda_2 and lambda_n, the second largest and the smallest, and
            1 - max(|lambda_2|, |lambda_n|); None where the graph is too large for them, and the
            eigenvalues where W isn't symmetric.
    """

    row_sum_error: float
    column_sum_error: float
    eigenvalues: tuple[float, float] | None
    spectral_gap: float | None


@dataclass(frozen=True)
class Plan:
    """What a scenario amounts to, at the first point of its sweep and for its first seed.

    Attributes:
        name, trials, points, seeds, workers: what is run.
        beginnings: how many trials are left out, as they are the beginnings of longer ones.
        parameters: the model's size.
        samples_per_worker: how many training samples each worker holds; 0 without training.
        mean_speed_sps: E[V] in samples/s.
        edges: links of the graph, both directions as one unless it is directed.
        directed: whether it is.
        degrees: smallest, mean and largest degree.
        averaging: W, or why there is none on this graph: no method may need it.
        methods: each algorithm's own.
    """

    name: str
    trials: int
    beginnings: int
    points: int
    seeds: int
    workers: int
    parameters: int
    samples_per_worker: int
    mean_speed_sps: float
    edges: int
    directed: bool
    degrees: tuple[int, float, int]
    averaging: Averaging | str
    methods: tuple[MethodPlan, ...]


@named
def plan(scenario: Scenario, *, train: bool = True) -> Plan:
    """Checks a scenario by building it, and tells what it amounts to.

    Args:
        scenario: the scenario.
        train: False leaves the data alone, as `desim run --no-train` does.

    Raises:
        ScenarioError, ModelError: it can't be run, or amounts to too much.
    """
    trials, points = list(scenario.trials()), scenario.points()
    setting = trials[0].setting
    streams = Streams(setting.seed)
    problem, workers = setting.problem, setting.cluster.size
    first = scenario.at(points[0])
    methods = [replace(setting, algorithm=algorithm) for algorithm in first.algorithms]
    check_numbers(methods, streams, train=train)
    samples = 0
    if train:
        shards = problem.shards(workers, streams)
        tell_repeats(methods, shards)
        samples = len(shards[0])
    graph = setting.network.graph(workers, streams)
    degrees = graph.degrees
    layers = problem.layers(streams)
    fleet = setting.fleet(streams)
    return Plan(
        name=scenario.name,
        trials=len(trials),
        beginnings=len(points) * len(scenario.algorithms) * len(scenario.seeds) - len(trials),
        points=len(points),
        seeds=len(scenario.seeds),
        workers=workers,
        parameters=sum(layers),
        samples_per_worker=samples,
        mean_speed_sps=fleet.mean_speed_sps(),
        edges=int(degrees.sum()) // (1 if graph.directed else 2),
        directed=graph.directed,
        degrees=(int(degrees.min()), float(degrees.mean()), int(degrees.max())),
        averaging=_averaging(setting.network.mixing, graph),
        methods=tuple(_method(one, fleet, streams, layers, train=train) for one in methods),
    )


def _averaging(mixing: Mixing, graph: Graph) -> Averaging | str:
    try:
        weights = mixing.build(graph)
    except ScenarioError as error:
        return str(error)
    matrix = weights.matrix()
    return Averaging(
        row_sum_error=float(abs(matrix.sum(axis=1) - 1).max()),
        column_sum_error=float(abs(matrix.sum(axis=0) - 1).max()),
        eigenvalues=weights.eigenvalues(),
        spectral_gap=weights.spectral_gap(),
    )


def _method(
    setting: Setting, fleet: Fleet, streams: Streams, layers: tuple[int, ...], *, train: bool
) -> MethodPlan:
    algorithm = setting.algorithm
    algorithm.check(fleet)
    check_deadline(setting, fleet, train=train)
    compressor: Compressor = getattr(algorithm, "compressor", NoCompressor())
    bits = usual_bits(setting, layers)
    graph = setting.weights(streams).graph
    where = site(setting, graph, fleet, streams, simpy.Environment())
    measured = measure(setting, sum(len(row) for row in where.targets))
    begin = setting.step_size().at(0, 0.0)
    end = setting.step_size().at(*length(setting, measured.round_s))
    return MethodPlan(
        label=algorithm.name,
        alpha=(begin[0], end[0]),
        epsilon=(begin[1], end[1]),
        compressor=str(compressor.table()["kind"]),
        message_bits=bits,
        message_s=setting.network.link.times_s(where, bits),
        round_s=measured.round_s,
        rounds=measured.rounds,
        amount=amount(setting, measured, bits),
        details=algorithm.details(fleet),
    )
