"""What the simulated workers of one trial share, and what each has of its own."""

from dataclasses import dataclass, field
from typing import Any

import simpy

from desim.clock.barrier import Barrier
from desim.clock.fleet import Fleet
from desim.clock.hardware import Timing
from desim.clock.network import Network
from desim.clock.stragglers.base import Speed
from desim.clock.timeline import Timeline
from desim.mixings.base import Weights
from desim.step_sizes.base import StepSize
from desim.streams import Streams
from desim.tensors.optimizer import Optimizer
from desim.tensors.plane import Plane


@dataclass(frozen=True, eq=False)
class Shared:
    """What all workers of a trial share.

    Attributes:
        env: the clock.
        plane: the tensors.
        network: what carries their messages.
        barrier: where they wait for each other.
        timeline: where what they do is noted.
        weights: the graph and its mixing matrix.
        fleet: their machines.
        streams: random numbers by name.
        workers: how many there are, the server aside.
        rounds: the round that each is in, and the server.
        step_size: alpha and epsilon, with the horizon filled in.
        optimizer: what is done to gradients before the method sees them.
        common: what the algorithm's `prepare` has returned.
        average_iterates: whether the mean of all models of a worker is evaluated.
        served: whether the method has a server.
        staleness: of the gradients applied so far.
    """

    env: simpy.Environment
    plane: Plane
    network: Network
    barrier: Barrier
    timeline: Timeline
    weights: Weights
    fleet: Fleet
    streams: Streams
    workers: int
    rounds: list[int]
    step_size: StepSize
    optimizer: Optimizer
    common: Any
    average_iterates: bool
    served: bool
    staleness: "Staleness" = field(default_factory=lambda: Staleness())


@dataclass
class Staleness:
    """How old gradients were when they were applied, in updates of the model.

    Attributes:
        applied: how many gradients have been applied so far.
        total: the sum of their ages.
        largest: the largest age.
    """

    applied: int = 0
    total: int = 0
    largest: int = 0

    def note(self, age: int) -> None:
        """Counts one more gradient."""
        self.applied += 1
        self.total += age
        self.largest = max(self.largest, age)


@dataclass(frozen=True, eq=False)
class Machine:
    """What one worker computes with.

    Attributes:
        timing: how long a gradient takes at full speed.
        speed: its speed through the trial.
        memory_bytes_per_s: of its memory, where averaging and compressing take time; else None.
    """

    timing: Timing
    speed: Speed
    memory_bytes_per_s: float | None
