"""One trial: builds the graph, the workers and the tensors, and runs the clock."""

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Literal

import numpy as np
import numpy.typing as npt
import simpy
import torch
from simpy.events import EventPriority

from desim.clock.barrier import Barrier
from desim.clock.compute.base import Speeds
from desim.clock.network import Network
from desim.clock.timeline import Sink, Timeline
from desim.errors import SimulationError
from desim.setting import Setting
from desim.streams import Streams
from desim.tensors.evaluation import Evaluator, Measures
from desim.tensors.kernels import kernels
from desim.tensors.optimum import optimal_loss
from desim.tensors.problem import Task
from desim.tensors.samples import Sampler
from desim.tensors.tape import Tape
from desim.worker import NoTensors, Plane, Tensors, Worker

#: The tape is evaluated when so many gradients per worker have been recorded. It hardly matters:
#: between 1 and 32 the time per round differs by less than 10%.
_GRADIENTS_PER_WORKER = 4

StoppedBy = Literal["time_s", "rounds", "steps", "target_train_loss", "diverged"]


@dataclass(frozen=True)
class Row:
    """One evaluation.

    Attributes:
        time_s: simulated time.
        round: mean number of local steps.
        steps, samples, bits_sent: totals over all workers and links.
        measures: loss and the like.
    """

    time_s: float
    round: float
    steps: int
    samples: int
    bits_sent: int
    measures: Measures


@dataclass
class Outcome:
    """What came out of a trial.

    Attributes:
        rows: the evaluations, the first at time 0.
        time_s: simulated time at the end.
        stopped_by: which rule ended it.
        diverged_at_s: simulated time of the evaluation whose loss wasn't finite, or None.
        peak_rows: the largest number of rows that the store held; 0 without training.
        optimal_loss: the smallest training loss that there is, where it was asked for.
        label_counts: (workers, classes): the samples of each class that each worker holds; None
            without training, or where the targets aren't classes.
        label_names: of the classes; none where they go by their numbers.
    """

    rows: list[Row] = field(default_factory=list)
    time_s: float = 0.0
    stopped_by: StoppedBy = "time_s"
    diverged_at_s: float | None = None
    peak_rows: int = 0
    optimal_loss: float | None = None
    label_counts: npt.NDArray[np.int64] | None = None
    label_names: tuple[str, ...] = ()


class Simulation:
    """One trial, ready to run.

    Args:
        setting: what to simulate.
        train: False runs the clock alone: no data is loaded, losses are nan.
        device: where tensors live.
        timeline: is given the intervals, a piece at a time; None records none.
        progress: called now and then with the share of the trial that is done.
        one_by_one: evaluate each tensor operation alone: the slow oracle of the batched tape.

    Raises:
        ScenarioError, ModelError: the setting can't be simulated.
    """

    def __init__(
        self,
        setting: Setting,
        *,
        train: bool = True,
        device: str = "cpu",
        timeline: Sink | None = None,
        progress: Callable[[float], None] | None = None,
        one_by_one: bool = False,
    ) -> None:
        self._setting, self._progress = setting, progress
        self.outcome = Outcome()
        streams = Streams(setting.seed)
        weights = setting.network.weights(setting.cluster.workers, streams)
        self._env = simpy.Environment()
        self._timeline = Timeline(timeline)
        neighbours = [row.tolist() for row in weights.graph.neighbours]
        self.network = Network(self._env, neighbours, setting.network.link, streams, self._timeline)
        plane = self._tensors(streams, device, one_by_one) if train else self._no_tensors(streams)
        barrier = Barrier(self._env, setting.cluster.workers)
        compute = setting.cluster.compute
        self.workers = [
            Worker(
                i,
                row,
                float(weights.own[i]),
                weights.neighbours[i].tolist(),
                env=self._env,
                plane=plane,
                network=self.network,
                barrier=barrier,
                speeds=Speeds(compute, streams, i),
                timeline=self._timeline,
                horizon=setting.stop.rounds,
                mean_speed_sps=compute.mean_speed_sps(),
                committed=self._committed,
                memory_bps=setting.cluster.memory_bps,
                average_iterates=setting.evaluate.iterate == "average",
            )
            for i, row in enumerate(neighbours)
        ]
        for worker in self.workers:
            self.network.start_with(worker.id, worker.model)
        self._steps = self._timers = 0
        self._stopped = self._env.event()
        self._limits = _limits(setting)
        self._evaluate_at = self._next_evaluation()

    def _tensors(self, streams: Streams, device: str, one_by_one: bool) -> Plane:
        where = torch.device(device)
        task = self._setting.problem.task(self._setting.cluster.workers, streams, where)
        self.outcome.label_counts, self.outcome.label_names = task.label_counts(), task.names
        if self._setting.evaluate.optimum:
            self.outcome.optimal_loss = optimal_loss(task)
        self.tape: Tape | None = self._tape(task, streams, where, one_by_one)
        self._evaluator = Evaluator(self.tape.kernels.store, task)
        initial = self.tape.constant(task.objective.pack())
        return Tensors(self.tape, initial, task.objective.parameters)

    def _tape(self, task: Task, streams: Streams, device: torch.device, one_by_one: bool) -> Tape:
        workers = self._setting.cluster.workers
        sampler = Sampler(streams, task.shards, self._setting.problem.sampling)
        kernel = kernels(task, workers, streams, sampler, device, one_by_one=one_by_one)
        return Tape(kernel, _GRADIENTS_PER_WORKER * workers, one_by_one=one_by_one)

    def _no_tensors(self, streams: Streams) -> NoTensors:
        self.tape = None
        return NoTensors(self._setting.problem.parameters(streams))

    def run(self) -> Outcome:
        """Runs the trial to its end.

        Raises:
            SimulationError: all workers wait for something that will never happen.
        """
        # What is alive now stays alive: without this, Python's garbage collector goes through all
        # of torch's modules again and again, for nothing. A trial makes few cycles but many
        # objects, so the collector also comes less often.
        threshold = gc.get_threshold()
        gc.freeze()
        gc.set_threshold(100 * threshold[0], *threshold[1:])
        try:
            self._simulate()
        finally:
            gc.set_threshold(*threshold)
            gc.unfreeze()
        self.network.settle()
        self._timeline.flush()
        self.outcome.time_s = float(self._env.now)
        if self.tape is not None:
            self.outcome.peak_rows = self.tape.kernels.store.peak
        return self.outcome

    def _simulate(self) -> None:
        env, stop = self._env, self._setting.stop
        self._evaluate()
        for worker in self.workers:
            env.process(self._setting.algorithm.worker(worker))
        if stop.time_s is not None:
            self._at(stop.time_s, lambda: self._stop("time_s"), priority=3)
        if self._setting.evaluate.every_s is not None:
            self._tick(1, self._setting.evaluate.every_s)
        if not self._stopped.triggered:
            try:
                env.run(until=self._stopped)
            except RuntimeError as error:
                if self._stopped.triggered or "No scheduled events" not in str(error):
                    raise
                raise self._deadlock() from None

    def _deadlock(self) -> SimulationError:
        return SimulationError(
            f"at {self._env.now:g} s all workers wait for messages that nobody sends"
        )

    def _at(self, time_s: float, action: Callable[[], None], priority: int) -> None:
        """Calls action at a time, after the ordinary events of that time (priority 1)."""

        def happen(_event: simpy.Event) -> None:
            self._timers -= 1
            # Timers alone would go on for ever after a deadlock.
            if len(self._env._queue) == self._timers:
                raise self._deadlock()
            action()

        self._timers += 1
        event = simpy.Event(self._env)
        event._ok, event._value = True, None
        assert event.callbacks is not None
        event.callbacks.append(happen)
        self._env.schedule(
            event, priority=EventPriority(priority), delay=max(0.0, time_s - self._env.now)
        )

    def _tick(self, number: int, every_s: float) -> None:
        def evaluate() -> None:
            self._evaluate()
            self._tick(number + 1, every_s)

        self._at(number * every_s, evaluate, priority=2)

    def _next_evaluation(self) -> float:
        every = self._setting.evaluate.every_rounds
        if every is None:
            return inf
        per_evaluation = every * len(self.workers)
        return (self._steps // per_evaluation + 1) * per_evaluation

    def _committed(self) -> None:
        """A worker has ended a local step."""
        if self._stopped.triggered:  # others may end theirs at the same instant
            return
        self._steps += 1
        if self._steps >= self._evaluate_at:
            self._evaluate()
            self._evaluate_at = self._next_evaluation()
        if self._steps >= self._limits.steps:
            self._stop(self._limits.reason)
        elif self._progress and self._steps % len(self.workers) == 0:
            self._progress(self._share())

    def _share(self) -> float:
        time_s = self._setting.stop.time_s
        by_time = self._env.now / time_s if time_s else 0.0
        return min(1.0, max(by_time, self._steps / self._limits.steps))

    def _stop(self, reason: StoppedBy) -> None:
        if self._stopped.triggered:
            return
        rows = self.outcome.rows
        self.outcome.stopped_by = reason
        # Marked first: an evaluation may find a reason of its own, and this one came earlier.
        self._stopped.succeed()
        if (rows[-1].time_s, rows[-1].steps) != (self._env.now, self._steps):
            self._evaluate()
        if self._progress:
            self._progress(1.0)

    def _evaluate(self) -> None:
        self.network.settle()
        measures = Measures()
        if self.tape is not None:
            models = [self.tape.record(worker.evaluated, worker.id) for worker in self.workers]
            self.tape.flush()
            measures = self._evaluator([model.row for model in models])
        row = self._row(measures)
        self.outcome.rows.append(row)
        if self.tape is None:
            return
        target = self._setting.stop.target_train_loss
        if not isfinite(measures.train_loss):
            self.outcome.diverged_at_s = row.time_s
            self.outcome.stopped_by = "diverged"
            if not self._stopped.triggered:
                self._stopped.succeed()
        elif target is not None and measures.train_loss <= target:
            self._stop("target_train_loss")

    def _row(self, measures: Measures) -> Row:
        return Row(
            float(self._env.now),
            self._steps / len(self.workers),
            self._steps,
            sum(worker.samples for worker in self.workers),
            self.network.bits_sent,
            measures,
        )


@dataclass(frozen=True)
class _Limits:
    steps: float
    reason: StoppedBy


def _limits(setting: Setting) -> _Limits:
    """The number of local steps that ends a trial, and which rule says so."""
    rounds = setting.stop.rounds
    by_rounds = rounds * setting.cluster.workers if rounds else inf
    by_steps = setting.stop.steps or inf
    return _Limits(by_steps, "steps") if by_steps < by_rounds else _Limits(by_rounds, "rounds")
