"""Small trials for tests: everything has a default, and a test names only what it is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ValidationError
from torch import nn

from desim.algorithms.base import Algorithm
from desim.clock.faults import Faults
from desim.clock.links.base import Deployment, Link, LinkModel
from desim.clock.links.dedicated import Cable
from desim.clock.stragglers.base import PerStep
from desim.clock.timeline import KINDS, Columns
from desim.engine.outcome import Outcome
from desim.engine.simulation import Simulation
from desim.errors import ScenarioError
from desim.scenario.setting import Cluster, Network, Setting
from desim.scenario.stopping import Evaluate, Stop
from desim.schema.registry import Member, members
from desim.streams import Streams
from desim.tensors.datasets.base import Shape
from desim.tensors.models.base import Model
from desim.tensors.problem import Problem

Table = Mapping[str, Any]

#: What keeps the clock simple: one sample a second, messages that take no time.
UNIT_SPEED = "none"
INSTANT = {"kind": "dedicated", "bandwidth_bps": float("inf")}


class GivenSpeeds(PerStep):
    """Worker i's speed at its k-th step: table[i][k mod its length], in samples/s."""

    table_of_speeds: tuple[tuple[float, ...], ...]

    def speeds(
        self, streams: Streams, worker: int, steps: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        row = np.array(self.table_of_speeds[worker])
        return row[steps % len(row)]

    def mean_speed(self) -> float:
        return float(np.mean([np.mean(row) for row in self.table_of_speeds]))

    def mean_slowdown(self) -> float:
        return float(np.mean([np.mean(1 / np.array(row)) for row in self.table_of_speeds]))


class GivenLinks(LinkModel):
    """A latency in s and a bandwidth in bit/s for each directed link."""

    links: Mapping[tuple[int, int], tuple[float, float]]

    def build(self, site: Deployment) -> list[list[Link]]:
        return [
            [Cable(source, [j], *self.links[source, j]) for j in row]
            for source, row in enumerate(site.targets)
        ]

    def times_s(self, site: Deployment, size_bits: int) -> tuple[float, float]:
        times = [latency + size_bits / rate for latency, rate in self.links.values()]
        return min(times), max(times)


def speeds(*rows: float | Sequence[float]) -> GivenSpeeds:
    """One number, or a sequence over steps, per worker."""
    tables = (row if isinstance(row, Sequence) else [row] for row in rows)
    return GivenSpeeds(table_of_speeds=tuple(tuple(map(float, table)) for table in tables))


def problem(*, parameters: int = 4, samples: int = 100, **changes: Any) -> Problem:
    """A quadratic with so many parameters."""
    fields: dict[str, Any] = {
        "dataset": {"kind": "quadratic", "samples": samples, "dimension": parameters},
        "model": "quadratic",
    }
    return Problem(**(fields | changes))


def setting(
    algorithm: Table | Algorithm,
    *,
    workers: int = 3,
    topology: Any = "ring",
    mixing: Any = "metropolis",
    stragglers: Any = UNIT_SPEED,
    hardware: Any = (),
    link: Any = INSTANT,
    charge_memory: bool = False,
    faults: Table | None = None,
    stop: Table | None = None,
    evaluate: Table | None = None,
    seed: int = 0,
    problem: Problem = problem(),  # noqa: B008  (frozen, so that calls can share it)
) -> Setting:
    """A trial; without `stop` it ends after 3 rounds."""
    if not isinstance(algorithm, Algorithm):
        algorithm = Algorithm.parse({"step_size": {"kind": "constant", "alpha": 0.1}} | algorithm)
    return Setting(
        problem=problem,
        cluster=Cluster(
            workers=workers,
            stragglers=stragglers,
            hardware=hardware,
            charge_memory=charge_memory,
        ),
        network=Network(topology=topology, mixing=mixing, link=link),
        stop=Stop(**(stop or {"rounds": 3})),
        evaluate=Evaluate(**(evaluate or {"every_rounds": 10**6})),
        algorithm=algorithm,
        seed=seed,
        faults=Faults(**faults) if faults else None,
    )


@dataclass
class Trial:
    """A trial that has run.

    Attributes:
        timeline: one row per interval; `kind` as a word.
    """

    simulation: Simulation
    outcome: Outcome
    timeline: pd.DataFrame = field(repr=False)

    def rows(self, kind: str, worker: int | None = None) -> pd.DataFrame:
        """Intervals of a kind, of one worker or of all, by the time they begin."""
        chosen = self.timeline[self.timeline.kind == kind]
        if worker is not None:
            chosen = chosen[chosen.worker == worker]
        return chosen.sort_values(["start_s", "worker", "peer"], kind="stable")

    def spans(self, kind: str, worker: int) -> list[tuple[float, float]]:
        """(start, end) of one worker's intervals of a kind; no gradient that the end cuts off."""
        rows = self.rows(kind, worker)
        if kind == "compute":
            rows = rows[(rows.samples > 0) | (rows.end_s < self.outcome.time_s)]
        return list(zip(rows.start_s.tolist(), rows.end_s.tolist(), strict=True))


def simulate(setting: Setting, *, train: bool = False, **options: Any) -> Trial:
    """Runs a trial and keeps its timeline."""
    pieces: list[Columns] = []
    simulation = Simulation(setting, train=train, timeline=pieces.append, **options)
    outcome = simulation.run()
    columns = {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}
    frame = pd.DataFrame(columns)
    return Trial(simulation, outcome, frame.assign(kind=np.array(KINDS)[frame.kind]))


def models(simulation: Simulation) -> npt.NDArray[np.float64]:
    """Every worker's model, (workers, parameters)."""
    tape = simulation.tape
    nodes = [tape.record(worker.model, worker.id) for worker in simulation.workers]
    tape.flush()
    data = tape.kernels.store.data
    return np.stack([data[node.row].double().numpy() for node in nodes])


def examples(axis: str) -> list[Member]:
    """Every member of an axis that comes with desim, with each of its example parameters."""
    made = []
    for kind, member in members(axis).items():
        for table in member.examples:
            try:
                made.append(member.model_validate(table))
            except ValidationError as error:
                raise AssertionError(
                    f"{axis} {kind}: {table} doesn't make one; give {member.__name__}.examples a "
                    "table with all the fields that have no default"
                ) from error
    return made


def label(member: Member) -> str:
    """A readable test id: the member's values."""
    return " ".join(str(value) for value in member.table().values())


def fitting(model: Model) -> tuple[nn.Module, Shape]:
    """A module of this model, and a shape of data that it takes."""
    try:
        shape = Shape((2,), 2)
        return model.build(shape), shape
    except ScenarioError:  # the models of images
        shape = Shape((3, 9, 8), 2)
        return model.build(shape), shape
