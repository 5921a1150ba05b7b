"""A worker on the clock and the tape: the only place where the two planes meet."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from functools import cached_property
from math import floor, inf, isinf
from typing import TYPE_CHECKING, Any, Literal

import simpy

from desim.clock.timeline import MOST_SAMPLES
from desim.errors import SimulationError
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.tensors.received import Received
from desim.tensors.refs import Ref
from desim.worker.message import Message
from desim.worker.messenger import Messenger
from desim.worker.protocol import Waiting, Worker
from desim.worker.shared import Machine, Shared

if TYPE_CHECKING:
    from torch import Tensor

#: Notes an interval: worker, start and end in s, local step.
_Note = Callable[[int, float, float, int], None]


class SimulatedWorker(Messenger, Worker):
    """One worker of a simulation, or its server; see the protocol for what methods are given.

    Args:
        id: its number; a server's is the number of workers.
        shared: what all workers of the trial share.
        machine: what it computes with.
        committed: called at the end of each local step.
        progress: how far it is, in local steps: what step sizes are asked for. Left out, its own.

    Attributes:
        evaluated: what evaluations look at: `model`, or the mean of all committed models.
        samples: samples whose gradients have been computed so far.
        gradients, empty: how many gradients that were, and how many had no samples.
    """

    def __init__(
        self,
        id: int,
        shared: Shared,
        machine: Machine,
        committed: Callable[[], None],
        progress: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(id, shared)
        self.workers, self.common, self.fleet = shared.workers, shared.common, shared.fleet
        self._mixing_matrix = shared.weights
        self.model = self.evaluated = shared.plane.initial()
        self.samples = self.gradients = self.empty = 0
        self.present = True
        self._plane, self._streams, self._step_size = shared.plane, shared.streams, shared.step_size
        self._speed, self._timing = machine.speed, machine.timing
        self._memory_bytes_per_s = machine.memory_bytes_per_s
        self._committed, self._average_iterates = committed, shared.average_iterates
        self._progress = progress
        self._optimizer = None if shared.optimizer.plain else shared.optimizer
        # Gradients that a worker applies itself, by how often its model had been updated when
        # they were begun; where there is a server, it applies them.
        self._staleness = shared.staleness
        self._begun: list[int] | None = None if shared.served else []
        self._updates = 0
        # How many there were (samples drawn, the last), and how many at the last commit: draws are
        # named by these.
        self._gradients = self._compressions = self._position = 0
        self._kept = (0, 0, 0)
        #: What it keeps besides its model, and what it was at the last commit: the method's own
        #: refs, the velocity of momentum, and what compressors with memory have left out.
        self._state: tuple[Any, ...] = ()
        self._velocity: Ref | None = None
        self._left_out: dict[int, Ref] = {}
        self._kept_beside: tuple[Ref | None, dict[int, Ref]] = None, {}
        #: How many models are in the mean of them.
        self._averaged = 0
        #: What its machine is at: how it is noted, since when, and until when at the latest.
        self._busy: tuple[_Note, float, float] | None = None

    @cached_property
    def own_weight(self) -> float:  # type: ignore[override]
        """w_ii."""
        return float(self._mixing_matrix.own[self.id])

    @cached_property
    def weights(self) -> list[float]:  # type: ignore[override]
        """w_ij in the order of the neighbours."""
        row: list[float] = self._mixing_matrix.neighbours[self.id].tolist()
        return row

    def step_size(self) -> float:
        """alpha now."""
        step = self.steps if self._progress is None else self._progress()
        return self._step_size.at(step, self._env.now)[0]

    def consensus_step(self) -> float:
        """epsilon now."""
        step = self.steps if self._progress is None else self._progress()
        return self._step_size.at(step, self._env.now)[1]

    def initial_model(self) -> Ref:
        """The last committed model."""
        return self.model

    def state(self, *initial: Any) -> tuple[Any, ...]:
        """What was last committed beside it."""
        return self._state or initial

    def zero(self) -> Ref:
        """A vector of zeros."""
        return self._plane.zero()

    def rounds(self, *, catch_up: bool = False) -> Iterator[int]:
        """Numbers of rounds, from the one that it is in."""
        while True:
            if catch_up:
                self._rounds[self.id] = max(
                    self._rounds[self.id], max(self._rounds[j] for j in self.neighbours)
                )
            yield self._rounds[self.id]
            self._rounds[self.id] += 1

    def draw(self, name: int, *, of: int | None = None) -> float:
        """One number of the stream "choices"."""
        worker = self.id if of is None else of
        return float(self._streams.uniforms("choices", worker, name)[0])

    def reset_momentum(self) -> None:
        """The next gradient is the first of its velocity."""
        self._velocity = None

    def compute(self, model: Ref, batch: int) -> Generator[simpy.Event, Any, Ref]:
        """Takes the machine's time at its present speed."""
        work_s = self._timing.seconds(batch)
        duration_s = self._speed.duration_s(self._gradients, self._env.now, work_s)
        gradient: Ref = yield from self._compute(model, batch, duration_s, duration_s)
        return gradient

    def compute_unless(
        self, model: Ref, batch: int, tag: Hashable
    ) -> Generator[simpy.Event, Any, Ref | None]:
        """As `compute`, cut off by a message."""
        if self._mailbox.count(tag):
            return None
        heard = self._mailbox.wait(lambda: self._mailbox.count(tag) > 0)
        work_s = self._timing.seconds(batch)
        duration_s = self._speed.duration_s(self._gradients, self._env.now, work_s)
        try:
            gradient: Ref | None = yield from self._compute(
                model, batch, duration_s, duration_s, heard
            )
        finally:
            self._mailbox.stop_waiting()
        return gradient

    def compute_until(
        self, model: Ref, deadline_s: float, max_batch: int | None = None
    ) -> Generator[simpy.Event, Any, tuple[Ref, int]]:
        """Computes as many samples as its speed allows."""
        work_s = self._speed.work_s(self._gradients, self._env.now, deadline_s)
        # The tolerance keeps 0.57 s at 100 samples/s at 57 samples: the product is 56.99...9.
        samples = self._timing.samples(work_s) * (1 + 1e-12)
        batch, busy_s = floor(samples), deadline_s
        if max_batch is not None and batch > max_batch:
            batch, work_s = max_batch, self._timing.seconds(max_batch)
            busy_s = self._speed.duration_s(self._gradients, self._env.now, work_s)
        elif batch > MOST_SAMPLES:
            raise SimulationError(
                f"worker {self.id} gets through {batch:.4g} samples by the deadline of "
                f"{deadline_s:g} s; a batch must have at most {MOST_SAMPLES:,}: give max_batch"
            )
        return (yield from self._compute(model, batch, busy_s, deadline_s)), batch

    def _compute(
        self,
        model: Ref,
        batch: int,
        busy_s: float,
        duration_s: float,
        unless: simpy.Event | None = None,
    ) -> Generator[simpy.Event, Any, Any]:
        """Computes for busy_s, and stands idle for the rest of duration_s."""
        step, start_s, updates = self._gradients, self._env.now, self._updates
        gradient = self._plane.gradient(model, self.id, step, self._position, batch)
        self._gradients += 1
        # A machine that stands still forever is never done.
        done = self._env.event() if isinf(duration_s) else self._env.timeout(duration_s)
        self._busy = self._cut_off, start_s, start_s + busy_s
        try:
            yield done if unless is None else done | unless
        except simpy.Interrupt:
            self._end_busy()
            raise
        if unless is not None and not done.processed:
            self._end_busy()
            return None
        self._busy = None
        self.samples += batch
        self.gradients += 1
        self.empty += not batch
        self._position += batch
        if busy_s == duration_s:
            self._timeline.compute(self.id, start_s, self._env.now, self.steps, batch)
        else:
            self._timeline.compute(self.id, start_s, start_s + busy_s, self.steps, batch)
            self._timeline.wait(self.id, start_s + busy_s, self._env.now, self.steps)
        if self._begun is not None and batch:
            self._begun.append(updates)
        if self._optimizer is not None and batch:
            gradient, self._velocity = self._optimizer.direction(
                self._plane, self.id, gradient, model, self._velocity
            )
        return gradient

    def compress(
        self, vector: Ref, compressor: Compressor | None = None, *, slot: int = 0
    ) -> Generator[simpy.Event, Any, Message]:
        """Takes the time of reading the vector and writing the message, where charged."""
        compressor = compressor or NoCompressor()
        step = self._compressions
        self._compressions += 1
        if compressor.memory and slot in self._left_out:
            vector = self.record(vector + self._left_out[slot])
        content, size_bits = self._plane.compress(vector, compressor, self.id, step)
        if compressor.memory:
            self._left_out[slot] = vector - content
        if self._memory_bytes_per_s is not None and type(compressor) is not NoCompressor:
            yield from self._touch(4 * self._plane.parameters + size_bits / 8, "compress")
        return Message(content, size_bits)

    def _touch(self, size_bytes: float, what: Literal["average", "compress"]) -> Waiting:
        """Takes the time in which so many bytes pass through the machine's memory."""
        assert self._memory_bytes_per_s is not None
        note = self._timeline.average if what == "average" else self._timeline.compress
        self._busy = note, self._env.now, inf
        try:
            yield self._env.timeout(size_bytes / self._memory_bytes_per_s)
        except simpy.Interrupt:
            self._end_busy()
            raise
        self._end_busy()

    def _cut_off(self, worker: int, start_s: float, end_s: float, step: int) -> None:
        """Notes a gradient that was not finished: it has no samples."""
        self._timeline.compute(worker, start_s, end_s, step, 0)

    def _end_busy(self) -> None:
        """Notes what its machine was at until now, and that it was idle after that."""
        assert self._busy is not None
        (note, start_s, until_s), now_s = self._busy, self._env.now
        self._busy = None
        note(self.id, start_s, min(until_s, now_s), self.steps)
        if until_s < now_s:
            self._timeline.wait(self.id, until_s, now_s, self.steps)

    def end(self) -> None:
        """At the end of a trial: notes what the end cuts off."""
        if self._waits is not None:
            self._waited()
        if self._busy is not None and self._busy[1] < self._env.now:
            self._end_busy()

    def mix(self, own: Ref, neighbours: Received) -> Generator[simpy.Event, Any, Ref]:
        """Gives the weights of those who are absent to its own model."""
        own_weight, weights = self.own_weight, self.weights
        if neighbours.absent:
            there = set(neighbours.workers)
            pairs = list(zip(self.neighbours, self.weights, strict=True))
            own_weight += sum(w for j, w in pairs if j not in there)
            weights = [w for j, w in pairs if j in there]
        if self._memory_bytes_per_s is not None:
            yield from self._touch(4 * self._plane.parameters * (len(weights) + 2), "average")
        return own_weight * own + self._plane.sum(weights, neighbours.messages)

    def sum(
        self, weights: Sequence[float], refs: Sequence[Ref]
    ) -> Generator[simpy.Event, Any, Ref]:
        """Takes the time of reading the vectors and writing one, where charged."""
        if self._memory_bytes_per_s is not None:
            yield from self._touch(4 * self._plane.parameters * (len(refs) + 1), "average")
        return self._plane.sum(weights, refs)

    def mean(self, refs: Sequence[Ref]) -> Generator[simpy.Event, Any, Ref]:
        """The sum with equal weights."""
        return (yield from self.sum([1 / len(refs)] * len(refs), refs))

    def record(self, ref: Ref) -> Ref:
        """Records it on the tape."""
        self._plane.record(ref, self.id)
        return ref

    def map(self, function: Callable[..., Tensor], *refs: Ref) -> Ref:
        """A row-wise function, recorded."""
        return self._plane.map(function, refs, self.id)

    def update(self, model: Ref) -> None:
        """Records the model, and counts the update."""
        self._plane.record(model, self.id)
        self.model = model
        self._updates += 1
        if not self._average_iterates:
            self.evaluated = model

    def applied(self, age: int) -> None:
        """Notes the age of a gradient."""
        self._staleness.note(age)

    def commit(self, model: Ref, *state: Ref | float) -> None:
        """Records the model and what goes with it, and ends the local step."""
        self._plane.record(model, self.id)
        self.model = model
        for kept in state:
            if isinstance(kept, Ref):
                self._plane.record(kept, self.id)
        self._state = state
        if self._begun:
            for updates in self._begun:
                self._staleness.note(self._updates - updates)
            self._begun.clear()
        if self._velocity is not None or self._left_out:
            self._kept_beside = self._velocity, dict(self._left_out)
        self.steps += 1
        self._kept = (self._gradients, self._compressions, self._position)
        self._barriers = self._opened = 0
        self._first_tag = None
        self._averaged += 1
        if self._average_iterates and self._averaged > 1:
            share = 1 / self._averaged  # the mean of t models, from that of t - 1
            model = self.record(self.evaluated + share * (model - self.evaluated))
        self.evaluated = model
        self._committed()

    def leave(self, *, excused: bool) -> None:
        """The worker crashes or goes: from now on nobody meets it at the barrier.

        Args:
            excused: whether the others' barrier opens without it.
        """
        self.present = False
        self._barrier.leave(self.id, excused=excused)

    def come_back(self, *, reset: bool) -> None:
        """The worker joins or comes back; what it was at is lost.

        Args:
            reset: with the initial model instead of its own.
        """
        self.present = True
        self._barrier.come_back(self.id)
        # Draws are named by these: what it does again has the same samples and the same speed.
        self._gradients, self._compressions, self._position = self._kept
        self._barriers = 0
        if self._begun:
            self._begun.clear()
        self._velocity, self._left_out = self._kept_beside[0], dict(self._kept_beside[1])
        if reset:
            self._state, self._velocity, self._left_out = (), None, {}
            self.model = self.evaluated = self._plane.initial()
            self._averaged = 0
