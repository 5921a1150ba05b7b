"""One trial: builds the graph, the workers and the tensors, and runs the clock."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf, isfinite, isinf

import simpy
import torch
from simpy.events import EventPriority

from desim.clock.barrier import Barrier
from desim.clock.environment import Environment
from desim.clock.faults import FaultSchedule
from desim.clock.network import Network
from desim.clock.timeline import Sink, Timeline
from desim.engine.collecting import rarely_collecting
from desim.engine.outcome import Outcome, Row, StoppedBy
from desim.engine.wiring import network
from desim.errors import NonFiniteError
from desim.scenario.setting import Setting
from desim.streams import Streams
from desim.tensors.evaluation import Evaluator, Measures
from desim.tensors.kernels import kernels
from desim.tensors.optimum import optimal_loss
from desim.tensors.plane import NoTensors, Plane, Tensors
from desim.tensors.problem import Task
from desim.tensors.samples import Sampler
from desim.tensors.tape import Tape
from desim.worker.simulated import Waiting, Worker

#: The tape is evaluated when so many gradients per worker have been recorded. It hardly matters:
#: between 1 and 32 the time per round differs by less than 10%.
_GRADIENTS_PER_WORKER = 4

#: A trial is given up when workers have come back so often, each in the mean, without a step.
_RETURNS_WITHOUT_A_STEP = 100

#: So many workers are named when a trial has stalled.
_NAMED = 5


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
        self._env = Environment()
        self._timeline = Timeline(timeline)
        self._returns = 0
        self._away_since: dict[int, float] = {}
        self._steps = self._timers = 0
        self._stopped = self._env.event()
        self._limits = _limits(setting)
        with rarely_collecting(setting.cluster.size):
            self._build(setting, train, device, one_by_one)
        self._evaluate_at = self._next_evaluation()

    def _build(self, setting: Setting, train: bool, device: str, one_by_one: bool) -> None:
        """The graph, the network, the tensors and the workers."""
        streams = Streams(setting.seed)
        algorithm, size = setting.algorithm, setting.cluster.size
        weights = setting.weights(streams)
        graph = weights.graph
        neighbours = [row.tolist() for row in graph.neighbours]
        targets = [row.tolist() for row in graph.targets] if graph.directed else neighbours
        common = algorithm.prepare(weights, streams)
        fleet = setting.fleet(streams)
        machines = setting.machines(fleet)
        self._faults = FaultSchedule(setting.faults, streams, size)
        self._skips = algorithm.skips
        self.network: Network = network(
            setting,
            graph,
            fleet,
            self._faults,
            streams,
            self._env,
            self._timeline,
            lambda lost: self._stall(
                f"no worker has ended a step while {lost:,} messages were lost"
            ),
        )
        plane = self._tensors(streams, device, one_by_one) if train else self._no_tensors(streams)
        barrier = Barrier(self._env, size)
        rounds = [0] * len(neighbours)
        charged = setting.cluster.charge_memory
        nodes = [
            Worker(
                i,
                row,
                targets[i],
                float(weights.own[i]),
                weights.neighbours[i].tolist(),
                env=self._env,
                plane=plane,
                network=self.network,
                barrier=barrier,
                fleet=fleet,
                timing=machines[i].timing,
                speed=machines[i].stragglers.speed(streams, i),
                timeline=self._timeline,
                rounds=rounds,
                horizon=setting.stop.rounds,
                committed=self._committed if i < size else _nothing,
                streams=streams,
                workers=size,
                common=common,
                optimizer=algorithm.optimizer,
                memory_bytes_per_s=machines[i].hardware.memory_bytes_per_s if charged else None,
                average_iterates=setting.evaluate.iterate == "average",
            )
            for i, row in enumerate(neighbours)
        ]
        self.workers, self.server = nodes[:size], nodes[size] if algorithm.has_server else None
        for node in nodes:
            self.network.start_with(node.id, node.model)

    def _tensors(self, streams: Streams, device: str, one_by_one: bool) -> Plane:
        where = torch.device(device)
        task = self._setting.problem.task(self._setting.cluster.size, streams, where)
        self.outcome.label_counts, self.outcome.label_names = task.label_counts(), task.names
        if self._setting.evaluate.optimum:
            self.outcome.optimal_loss = optimal_loss(task)
        self.tape: Tape | None = self._tape(task, streams, where, one_by_one)
        self._evaluator = Evaluator(self.tape.kernels.store, task)
        initial = self.tape.constant(task.objective.pack())
        return Tensors(self.tape, initial, task.objective.layers)

    def _tape(self, task: Task, streams: Streams, device: torch.device, one_by_one: bool) -> Tape:
        workers = self._setting.cluster.size
        sampler = Sampler(streams, task.shards, self._setting.problem.sampling)
        kernel = kernels(task, workers, streams, sampler, device, one_by_one=one_by_one)
        return Tape(kernel, _GRADIENTS_PER_WORKER * workers, one_by_one=one_by_one)

    def _no_tensors(self, streams: Streams) -> NoTensors:
        self.tape = None
        return NoTensors(self._setting.problem.layers(streams))

    def run(self) -> Outcome:
        """Runs the trial to its end."""
        with rarely_collecting(len(self.workers)):
            try:
                self._simulate()
            except NonFiniteError as error:
                self._diverge(error)
        for worker in self.workers:
            if not worker.present:
                self._timeline.down(
                    worker.id, self._away_since[worker.id], self._env.now, worker.steps
                )
        self.network.finish()
        self._timeline.flush()
        self.outcome.time_s = float(self._env.now)
        if self.tape is not None:
            self.outcome.peak_rows = self.tape.kernels.store.peak
        return self.outcome

    def _simulate(self) -> None:
        env, stop = self._env, self._setting.stop
        self._evaluate()
        for worker in self.workers:
            life = self._life if self._faults.any else self._setting.algorithm.worker
            env.process(life(worker))
        if self.server is not None:
            env.process(self._setting.algorithm.server(self.server))
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
                self._stall("nothing can happen any more")

    def _diverge(self, error: NonFiniteError) -> None:
        """Ends the trial where a message isn't finite any more."""
        row = self._row(Measures())
        self.outcome.rows.append(row)
        self.outcome.diverged_at_s, self.outcome.diverged = row.time_s, str(error)
        self.outcome.stopped_by = "diverged"

    def _life(self, worker: Worker) -> Waiting:
        """A worker's life with its crashes: its generator, cut off and begun anew."""
        env, gone_s = self._env, 0.0
        for down_s, up_s in self._faults.worker(worker.id):
            if down_s > gone_s:
                run = env.process(_until_crash(self._setting.algorithm.worker(worker)))
                yield env.timeout(down_s - env.now)
                # Before it is cut off: others may come to the barrier at the same instant.
                worker.leave(excused=self._skips)
                if run.is_alive:
                    run.interrupt()
                    yield run
            else:
                worker.leave(excused=self._skips)
            self._away_since[worker.id] = env.now
            if isinf(up_s):
                return
            yield env.timeout(up_s - env.now)
            self._timeline.down(worker.id, self._away_since.pop(worker.id), env.now, worker.steps)
            worker.come_back(reset=self._faults.reset)
            gone_s = up_s
            self._returns += 1
            if self._returns > _RETURNS_WITHOUT_A_STEP * len(self.workers):
                self._stall(
                    f"no worker has ended a step while they came back {self._returns:,} times"
                )
                return
        yield from self._setting.algorithm.worker(worker)

    def _stall(self, why: str) -> None:
        """Ends the trial, since it would never end by itself."""
        if self._stopped.triggered:
            return
        said = [
            f"{'the server' if worker is self.server else f'worker {worker.id}'} waits for "
            f"{'the server' if self.server and whom == [self.server.id] else _few(whom)}"
            for worker in self._nodes()
            if (whom := worker.waits_for()) is not None
        ]
        away = [worker.id for worker in self.workers if not worker.present]
        said = said[:_NAMED] + [f"{len(said) - _NAMED} more wait"] * (len(said) > _NAMED)
        said += [f"{_few(away)} away"] if away else []
        self.outcome.stalled = f"at {self._env.now:g} s {why}: " + "; ".join(
            said or ["nobody waits for anybody; are all speeds 0?"]
        )
        self._stop("stalled")
        for worker in self._nodes():
            worker.stall()

    def _nodes(self) -> list[Worker]:
        return self.workers if self.server is None else [self.server, *self.workers]

    def _at(self, time_s: float, action: Callable[[], None], priority: int) -> None:
        """Calls action at a time, after the ordinary events of that time (priority 1)."""

        def happen(_event: simpy.Event) -> None:
            self._timers -= 1
            # Timers alone would go on for ever after a deadlock.
            if self._env.scheduled == self._timers:
                self._stall("nothing can happen any more")
            else:
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
        self._returns = self.network.lost_in_a_row = 0
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
            models = [self.tape.record(w.evaluated, w.id) for w in self.evaluated_workers()]
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

    def evaluated_workers(self) -> list[Worker]:
        """The server; or the workers that are there; or all, if none is."""
        if self.server is not None:
            return [self.server]
        return [worker for worker in self.workers if worker.present] or self.workers

    def _row(self, measures: Measures) -> Row:
        return Row(
            float(self._env.now),
            self._steps / len(self.workers),
            self._steps,
            sum(worker.samples for worker in self.workers),
            self.network.bits_sent,
            measures,
        )


def _until_crash(life: Waiting) -> Waiting:
    with suppress(simpy.Interrupt):
        yield from life


def _nothing() -> None:
    """A server's updates are no local steps."""


def _few(workers: list[int]) -> str:
    """Workers in words, not too many."""
    words = ", ".join(str(worker) for worker in workers[:_NAMED])
    return words + (f" and {len(workers) - _NAMED} more" if len(workers) > _NAMED else "")


@dataclass(frozen=True)
class _Limits:
    steps: float
    reason: StoppedBy


def _limits(setting: Setting) -> _Limits:
    """The number of local steps that ends a trial, and which rule says so."""
    rounds = setting.stop.rounds
    by_rounds = rounds * setting.cluster.size if rounds else inf
    by_steps = setting.stop.steps or inf
    return _Limits(by_steps, "steps") if by_steps < by_rounds else _Limits(by_rounds, "rounds")
