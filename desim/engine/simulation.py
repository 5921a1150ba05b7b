"""One trial: builds the graph, the workers and the tensors, and runs the clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, isinf

import simpy
from simpy.events import EventPriority

from desim.clock.barrier import Barrier
from desim.clock.environment import Environment
from desim.clock.faults import FaultSchedule
from desim.clock.network import Network
from desim.clock.stragglers.base import speed_of
from desim.clock.timeline import Sink, Timeline
from desim.engine.collecting import rarely_collecting
from desim.engine.lives import Lives
from desim.engine.outcome import Outcome
from desim.engine.record import Record
from desim.engine.stopping import NOTHING_LEFT, step_limit, time_limit, why_stalled
from desim.engine.wiring import network
from desim.errors import NonFiniteError, SimulationError
from desim.metrics.base import Counts
from desim.scenario.setting import Setting
from desim.step_sizes.base import StepSize
from desim.streams import Streams
from desim.tensors.lazy import torch
from desim.tensors.plane import NoTensors, Plane, Tensors
from desim.tensors.problem import Task
from desim.tensors.samples import Sampler
from desim.tensors.tape import Tape
from desim.worker.shared import Machine, Shared
from desim.worker.simulated import SimulatedWorker

#: The tape is evaluated when so many gradients per worker have been recorded. It hardly matters:
#: between 1 and 32 the time per round differs by less than 10%.
_GRADIENTS_PER_WORKER = 4

#: Rows of evaluations are kept in memory until a trial ends, about 1 kB each.
MOST_EVALUATIONS = 1_000_000

#: A trial is given up when all workers have made so many steps, in the mean, at one instant.
_STEPS_AT_ONCE = 100


class Simulation:
    """One trial, ready to run.

    Args:
        setting: what to simulate.
        train: False runs the clock alone: no data is loaded, losses are nan.
        device: where tensors live.
        timeline: is given the intervals, a piece at a time; None records none.
        progress: called now and then with the share of the trial that is done.
        one_by_one: evaluate each tensor operation alone: the slow oracle of the batched tape.
        env: the clock; left out, one that goes on for as long as the trial does.

    Attributes:
        workers, server: the workers, and the server or None.
        network: what carries their messages.
        tape: their tensors; None without training.
        outcome: what has come out so far.

    Raises:
        ScenarioError, ModelError: the setting can't be simulated.
    """

    workers: list[SimulatedWorker]
    server: SimulatedWorker | None
    network: Network
    tape: Tape | None

    def __init__(
        self,
        setting: Setting,
        *,
        train: bool = True,
        device: str = "cpu",
        timeline: Sink | None = None,
        progress: Callable[[float], None] | None = None,
        one_by_one: bool = False,
        env: Environment | None = None,
    ) -> None:
        self._setting, self._progress = setting, progress
        self._env = env or Environment()
        self._timeline = Timeline(timeline)
        self._rules = setting.stop.all_rules()
        self._steps = self._timers = 0
        self._stopped = self._env.event()
        self._failed: BaseException | None = None
        self._time_limit = time_limit(self._rules)
        self._step_limit = step_limit(self._rules, setting.cluster.size)
        self._metrics = setting.metrics()
        with rarely_collecting(setting.cluster.size):
            streams = Streams(setting.seed)
            self._build(streams, lambda: self._plane(streams, device, one_by_one, train=train))
        self._evaluate_at = self._next_evaluation()
        self._look_every = _STEPS_AT_ONCE * setting.cluster.size
        self._looked_s, self._next_look = -1.0, self._look_every
        #: Number of steps at which there is something to do besides counting.
        self._act_at = min(self._evaluate_at, self._next_look, self._step_limit.at)

    def _build(self, streams: Streams, plane: Callable[[], Plane]) -> None:
        """The graph, the network, the tensors and the workers."""
        setting, algorithm = self._setting, self._setting.algorithm
        size = setting.cluster.size
        weights = setting.weights(streams)
        common = algorithm.prepare(weights, streams)
        fleet = setting.fleet(streams)
        faults = FaultSchedule(setting.faults, streams, size)
        self.network = network(
            setting,
            weights.graph,
            fleet,
            faults,
            streams,
            self._env,
            self._timeline,
            lambda lost: self._stall(
                f"no worker has ended a step while {lost:,} messages were lost"
            ),
        )
        self._shared = Shared(
            env=self._env,
            plane=plane(),
            network=self.network,
            barrier=Barrier(self._env, size),
            timeline=self._timeline,
            weights=weights,
            fleet=fleet,
            streams=streams,
            workers=size,
            rounds=[0] * weights.graph.workers,
            step_size=self._step_size(),
            optimizer=algorithm.optimizer,
            common=common,
            average_iterates=setting.evaluate.iterate == "average",
            served=algorithm.has_server,
        )
        charged = setting.cluster.charge_memory
        machines = [
            Machine(
                group.timing,
                speed_of(group.stragglers, streams, i),
                group.hardware.memory_bytes_per_s if charged else None,
            )
            for i, group in enumerate(setting.machines(fleet))
        ]
        self.workers = [
            SimulatedWorker(i, self._shared, machine, self._committed)
            for i, machine in enumerate(machines[:size])
        ]
        self.server = None
        if algorithm.has_server:  # its updates are no local steps
            self.server = SimulatedWorker(
                size, self._shared, machines[size], _nothing, lambda: self._steps / size
            )
        self._lives = Lives(self._env, algorithm, faults, self._timeline, self._stall)
        for node in self._nodes():
            self.network.start_with(node.id, node.model)

    def _step_size(self) -> StepSize:
        return self._setting.step_size()

    def _plane(self, streams: Streams, device: str, one_by_one: bool, *, train: bool) -> Plane:
        """The tensors, and the record of what evaluations find."""
        self.tape = None
        if not train:
            self._record = Record(self._metrics, self._rules)
            return NoTensors(self._setting.problem.layers(streams))
        where = torch.device(device)
        task = self._setting.problem.task(self._setting.cluster.size, streams, where)
        return self._tensors(task, lambda: self._tape(task, streams, where, one_by_one))

    def _tensors(self, task: Task, tape: Callable[[], Tape]) -> Plane:
        self.tape = tape()
        self._record = Record(self._metrics, self._rules, task, self.tape)
        if self._setting.evaluate.optimum:
            from desim.tensors.optimum import optimal_loss

            self.outcome.optimal_loss = optimal_loss(task)
        initial = self.tape.constant(task.objective.pack())
        return Tensors(self.tape, initial, task.objective.layers)

    def _tape(self, task: Task, streams: Streams, device: torch.device, one_by_one: bool) -> Tape:
        from desim.tensors.kernels import kernels

        workers = self._setting.cluster.size
        sampler = Sampler(streams, task.shards, self._setting.problem.sampling)
        kernel = kernels(task, workers, streams, sampler, device, one_by_one=one_by_one)
        return Tape(kernel, _GRADIENTS_PER_WORKER * workers, one_by_one=one_by_one)

    @property
    def outcome(self) -> Outcome:
        """What has come out so far."""
        return self._record.outcome

    def run(self) -> Outcome:
        """Runs the trial to its end."""
        with rarely_collecting(len(self.workers)):
            try:
                self._simulate()
            except NonFiniteError as error:
                self._diverge(error)
        self.network.finish()
        for node in self._nodes():
            node.end()
        for worker in self.workers:
            self._lives.end(worker)
        self._timeline.flush()
        self.outcome.time_s = float(self._env.now)
        return self._record.end()

    def _simulate(self) -> None:
        env = self._env
        self._evaluate()
        for worker in self.workers:
            self._lives.begin(worker)
        if self.server is not None:
            env.process(self._setting.algorithm.server(self.server))
        if self._time_limit.at < inf:
            self._at(self._time_limit.at, lambda: self._stop(self._time_limit.rule), priority=3)
        if self._setting.evaluate.every_s is not None:
            self._tick(1, self._setting.evaluate.every_s)
        if not self._stopped.triggered:
            try:
                env.run(until=self._stopped)
            except RuntimeError as error:
                if self._stopped.triggered or "No scheduled events" not in str(error):
                    raise
                self._stall(NOTHING_LEFT)
        if self._failed is not None:
            raise self._failed

    def _diverge(self, error: NonFiniteError) -> None:
        """Ends the trial where a message isn't finite any more."""
        self._record.diverge(self._counts(), str(error))

    def _stall(self, why: str) -> None:
        """Ends the trial, since it would never end by itself."""
        if self._stopped.triggered:
            return
        self.outcome.stalled = why_stalled(self._env.now, why, self.workers, self.server)
        self._stop("stalled")

    def _nodes(self) -> list[SimulatedWorker]:
        return self.workers if self.server is None else [self.server, *self.workers]

    def _at(self, time_s: float, action: Callable[[], None], priority: int) -> None:
        """Calls action at a time, after the ordinary events of that time (priority 1)."""

        def happen(_event: simpy.Event) -> None:
            self._timers -= 1
            # Timers alone would go on forever after a deadlock.
            if self._env.scheduled == self._timers:
                self._stall(NOTHING_LEFT)
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
        self._lives.returns = self.network.lost_in_a_row = 0
        if self._steps >= self._act_at:
            self._act()
        if self._progress and not self._stopped.triggered and self._steps % len(self.workers) == 0:
            self._progress(self._share())

    def _act(self) -> None:
        """What is due after so many steps."""
        if self._steps >= self._evaluate_at:
            self._evaluate()
            self._evaluate_at = self._next_evaluation()
        if self._steps >= self._step_limit.at:
            self._stop(self._step_limit.rule)
        elif self._steps >= self._next_look:
            if self._env.now == self._looked_s:
                self._stall(
                    f"time no longer advances: {self._look_every:,} steps have ended at this "
                    "instant, each too short to be added to it in 64 bits"
                )
            self._looked_s, self._next_look = self._env.now, self._steps + self._look_every
        self._act_at = min(self._evaluate_at, self._next_look, self._step_limit.at)

    def _share(self) -> float:
        time_s = self._time_limit.at
        by_time = 0.0 if isinf(time_s) else self._env.now / time_s
        return min(1.0, max(by_time, self._steps / self._step_limit.at))

    def _stop(self, reason: str) -> None:
        if self._stopped.triggered:
            return
        rows = self.outcome.rows
        self.outcome.stopped_by = reason
        # Marked first: an evaluation may find a reason of its own, and this one came earlier.
        self._stopped.succeed()
        if (rows[-1].time_s, rows[-1].steps) != (self._env.now, self._steps):
            try:
                self._evaluate()
            except BaseException as error:
                # Raised in a worker's process, it would come out after the clock has stopped.
                self._failed = error
                raise
        self.network.close()
        if self._progress:
            self._progress(1.0)

    def _evaluate(self) -> None:
        if len(self.outcome.rows) >= MOST_EVALUATIONS:
            raise SimulationError(
                f"evaluate: {MOST_EVALUATIONS:,} evaluations by {self._env.now:g} s, the most that "
                "a trial may have; must be rarer, by every_s or every_rounds"
            )
        self.network.settle()
        models = [(worker.evaluated, worker.id) for worker in self.evaluated_workers()]
        reason = self._record.evaluate(self._counts(), models)
        if reason == "diverged":
            if not self._stopped.triggered:
                self._stopped.succeed()
            self.network.close()
        elif reason is not None:
            self._stop(reason)

    def evaluated_workers(self) -> Sequence[SimulatedWorker]:
        """The server; or the workers that are there; or all, if none is."""
        if self.server is not None:
            return [self.server]
        return [worker for worker in self.workers if worker.present] or self.workers

    def _counts(self) -> Counts:
        staleness = self._shared.staleness
        return Counts(
            time_s=float(self._env.now),
            workers=len(self.workers),
            steps=self._steps,
            samples=sum(worker.samples for worker in self.workers),
            gradients=sum(worker.gradients for worker in self.workers),
            empty=sum(worker.empty for worker in self.workers),
            bits_sent=self.network.bits_sent,
            applied=staleness.applied,
            staleness_total=staleness.total,
            staleness_largest=staleness.largest,
        )


def _nothing() -> None:
    """A server's updates are no local steps."""
