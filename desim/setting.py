"""The tables of a scenario that say where and how long: and all that one trial depends on."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from desim.algorithms.base import Algorithm
from desim.clock.compute.base import Compute
from desim.clock.links.base import LinkModel
from desim.mixings.base import Mixing, Weights
from desim.registry import Table
from desim.streams import Streams
from desim.tensors.problem import Problem
from desim.topologies.base import Topology

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Cluster(Table):
    """The workers.

    Attributes:
        workers: how many, from 2 to a million.
        compute: how fast each computes.
        memory_bps: bit/s that a worker reads and writes when it averages models: its own, those of
            its neighbours and the result, 32 bits a number. Left out, averaging takes no time.
    """

    workers: Annotated[int, Field(ge=2, le=1_000_000)]
    compute: Compute
    memory_bps: Positive | None = None


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

    def weights(self, workers: int, streams: Streams) -> Weights:
        """The graph and its mixing matrix."""
        return self.mixing.build(self.topology.build(workers, streams.generator("graph")))


class Stop(Table):
    """When a trial ends: at the first of these that is reached.

    Attributes:
        time_s: simulated seconds.
        rounds: mean number of local steps per worker.
        steps: local steps over all workers.
        target_train_loss: training loss of the mean model, looked at when it is evaluated.
    """

    time_s: Positive | None = None
    rounds: Count | None = None
    steps: Count | None = None
    target_train_loss: float | None = None

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.time_s is None and self.rounds is None and self.steps is None:
            raise ValueError(
                "must have time_s, rounds or steps, since a target loss may never be reached"
            )
        return self


class Evaluate(Table):
    """When the mean model is evaluated, besides the beginning and the end; and which.

    Attributes:
        every_s: simulated seconds between evaluations.
        every_rounds: mean local steps between evaluations.
        iterate: "last" (the workers' models as they are) or "average" (of each worker the mean of
            its models after steps 1 to t, which theorems for convex losses speak of).
            Gradient norm and consensus error are then those of these means, too.
        optimum: also find the smallest training loss, by L-BFGS: `optimal_loss` in each trial's
            manifest. The report then draws how far the losses are from it. Not done by `tune`.
    """

    every_s: Positive | None = None
    every_rounds: Count | None = None
    iterate: Literal["last", "average"] = "last"
    optimum: bool = False

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.every_s is None) == (self.every_rounds is None):
            raise ValueError(
                f"every_s = {self.every_s}, every_rounds = {self.every_rounds}: give exactly one"
            )
        return self


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
