"""Contestants take turns, so that a machine that slows down slows all of them."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import networkx as nx
import numpy as np
from contestants import CLASSES, HIDDEN, LockStep, PlainLoop, Work
from rich.console import Console
from rich.table import Table
from torch import nn

from desim.algorithms.base import Algorithm
from desim.engine.simulation import Simulation
from desim.scenario.setting import Cluster, Network, Setting
from desim.scenario.stopping import Evaluate, Stop
from desim.streams import Streams
from desim.tensors.datasets.base import Data
from desim.tensors.problem import Problem

WORKERS = 50
SAMPLES = 200
BATCH = 20
STEP = {"kind": "constant", "alpha": 0.1, "epsilon": 0.5}
ROUNDING = {"kind": "random-rounding", "grid": 0.001, "range": 4.0}

#: A trial's first rounds are not timed: they touch fresh memory.
WARM_UP = 16

#: The tape is evaluated once in four rounds, so times are taken over four.
WINDOW = 4

#: Seconds per round.
Times = list[float]


def setting(features: int, algorithm: dict[str, Any], rounds: int, **changes: Any) -> Setting:
    """A trial on random data."""
    workers = changes.pop("workers", WORKERS)
    samples = changes.pop("samples", SAMPLES)
    topology = changes.pop("topology", {"kind": "erdos-renyi", "p": 0.4})
    random = np.random.default_rng(0)
    x = random.random((workers * samples, features), np.float32)
    y = random.integers(0, CLASSES, len(x))
    problem = {"model": {"kind": "mlp", "hidden": (HIDDEN,)}} | changes
    return Setting(
        problem=Problem(dataset=Data(x, y, x[:0], y[:0]), **problem),
        cluster=Cluster(
            workers=workers, stragglers={"kind": "uniform-speed", "low": 10.0, "high": 90.0}
        ),
        network=Network(
            topology=topology,
            mixing="laplacian",
            link={"kind": "dedicated", "bandwidth_bps": 1e6, "latency_s": 0.001},
        ),
        stop=Stop(rounds=rounds),
        evaluate=Evaluate(every_rounds=10**9),
        algorithm=Algorithm.parse({"step_size": STEP, **algorithm}),
        seed=0,
    )


class Desim:
    """A trial; `train=False` runs the clock alone. The timeline is on.

    What is timed is the processor time between ends of rounds as the trial itself reports them,
    after the first WARM_UP rounds: building the trial and the evaluations at its beginning and end
    are not in it, everything else is. On a quiet machine it is the time on the wall, since there is
    one thread; on a busy one it isn't spoiled by whoever else has the processor.
    """

    def __init__(self, setting: Setting, *, train: bool = True) -> None:
        self._setting, self._train = setting, train
        workers = setting.cluster.size
        graph = setting.network.topology.build(workers, Streams(setting.seed).generator("graph"))
        self.messages_per_round = sum(len(row) for row in graph.neighbours)

    def __call__(self) -> Times:
        stamps: list[float] = []
        Simulation(
            self._setting,
            train=self._train,
            timeline=lambda _columns: None,
            progress=lambda _share: stamps.append(time.process_time()),
        ).run()
        # The last two stamps surround the final evaluation.
        seconds = np.diff(stamps[WARM_UP:-2:WINDOW])
        return (seconds / WINDOW).tolist()


class ByHand:
    """A contestant with a `round` method, which keeps its state between turns."""

    def __init__(self, contestant: LockStep | PlainLoop, rounds: int) -> None:
        self._contestant, self._rounds = contestant, rounds

    def __call__(self) -> Times:
        self._contestant.round()  # the others have had the cache
        times = []
        for _ in range(max(1, self._rounds // WINDOW)):
            start = time.process_time()
            for _ in range(WINDOW):
                self._contestant.round()
            times.append((time.process_time() - start) / WINDOW)
        return times


class Race:
    """Turns of several contestants, one after another.

    Attributes:
        times: for each contestant its seconds per round, over all laps.
    """

    def __init__(self, contestants: dict[str, Callable[[], Times]]) -> None:
        self._contestants = contestants
        self.times: dict[str, Times] = {name: [] for name in contestants}

    def lap(self) -> None:
        """Everyone's turn."""
        for name, turn in self._contestants.items():
            self.times[name] += turn()

    def median_ms(self, name: str) -> float:
        """Milliseconds per round."""
        return 1e3 * float(np.median(self.times[name]))

    def ratio(self, name: str, other: str) -> float:
        """How many times as fast as another."""
        return self.median_ms(other) / self.median_ms(name)


def by_hand_work(features: int) -> Work:
    """What the hand-written contestants compute: the sizes and the graph of `setting`."""
    example = setting(features, {"kind": "dsgd", "batch": BATCH}, 1)
    shape = (WORKERS, SAMPLES)
    data = example.problem.dataset.load()
    graph = nx.gnp_random_graph(WORKERS, 0.4, seed=1)
    laplacian = nx.laplacian_matrix(graph).toarray().astype(float)
    mixing = np.eye(WORKERS) - laplacian / (laplacian.diagonal().max() + 1)
    own = mixing.diagonal().copy()
    return Work(
        data.train_x.reshape(*shape, features).astype(np.float32),
        data.train_y.reshape(shape),
        own,
        mixing - np.diag(own),
    )


class NotAChain(nn.Module):
    """The same network, in a form that takes the general way to its gradient."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(features, HIDDEN), nn.Linear(HIDDEN, CLASSES)

    def forward(self, x: Any) -> Any:
        return self.second(self.first(x).sigmoid())


def show(title: str, race: Race, yardsticks: Sequence[str], batch: str = "gradients/s") -> None:
    """Prints medians and ratios."""
    table = Table(title=title, title_justify="left")
    for column in ("", "ms a round", batch, *(f"x {name}" for name in yardsticks)):
        table.add_column(column, justify="left" if not column else "right")
    for name in race.times:
        ms = race.median_ms(name)
        ratios = [f"{race.ratio(name, other):.2f}" for other in yardsticks]
        table.add_row(name, f"{ms:.2f}", f"{WORKERS / ms * 1e3:,.0f}", *ratios)
    Console(width=100).print(table)
