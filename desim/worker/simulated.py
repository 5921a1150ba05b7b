"""One worker, as its algorithm sees it: the only place where the clock meets the tensors."""

from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from math import floor, isinf
from typing import Any, Literal

import simpy
from torch import Tensor

from desim.clock.barrier import Barrier
from desim.clock.fleet import Fleet
from desim.clock.hardware import Timing
from desim.clock.network import Network
from desim.clock.stragglers.base import Speed
from desim.clock.timeline import Timeline
from desim.streams import Streams
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.tensors.optimizer import Optimizer
from desim.tensors.plane import Plane
from desim.tensors.received import Received
from desim.tensors.refs import Ref
from desim.worker.messenger import Message, Messenger, Waiting

__all__ = ["Message", "Waiting", "Worker"]


class Worker(Messenger):
    """One worker of a simulation, or the server of a method that has one.

    Attributes:
        id: its number, from 0; the server comes after all workers.
        workers: how many workers there are, the server aside.
        neighbours: those that it hears, ascending; in a graph without directions its neighbours.
        targets: those that it sends to, ascending.
        own_weight: w_ii of the mixing matrix.
        weights: w_ij in the order of `neighbours`.
        horizon: T, the number of rounds of the run, or None where the scenario gives none.
        fleet: all workers' machines; `fleet.deadline_s(b)` is T_d for a mean batch b.
        common: what the algorithm's `prepare` has returned: the same for all.
        model: the last committed model; after a crash that costs it, the initial one.
        present: whether it is there, not crashed, gone or yet to join.
        evaluated: what evaluations look at: that, or the mean of all committed models.
        steps: local steps committed so far; a server's don't count.
        samples: samples whose gradients have been computed so far.
    """

    def __init__(
        self,
        id: int,
        neighbours: Sequence[int],
        targets: Sequence[int],
        own_weight: float,
        weights: Sequence[float],
        *,
        env: simpy.Environment,
        plane: Plane,
        network: Network,
        barrier: Barrier,
        fleet: Fleet,
        timing: Timing,
        speed: Speed,
        timeline: Timeline,
        rounds: list[int],
        horizon: int | None,
        committed: Callable[[], None],
        streams: Streams,
        workers: int,
        common: Any = None,
        optimizer: Optimizer,
        memory_bytes_per_s: float | None = None,
        average_iterates: bool = False,
    ) -> None:
        super().__init__(
            id,
            neighbours,
            targets,
            env=env,
            network=network,
            barrier=barrier,
            timeline=timeline,
            rounds=rounds,
        )
        self.workers, self.common = workers, common
        self.own_weight, self.weights = own_weight, list(weights)
        self.horizon, self.fleet = horizon, fleet
        self.model = self.evaluated = plane.initial()
        self.samples = 0
        self.present = True
        self._plane, self._speed, self._streams = plane, speed, streams
        self._timing, self._memory_bytes_per_s = timing, memory_bytes_per_s
        self._committed, self._average_iterates = committed, average_iterates
        self._optimizer = None if optimizer.plain else optimizer
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

    def initial_model(self) -> Ref:
        """The model to begin with: the same for all workers; after a crash the last committed one.

        A worker that comes back begins its generator anew; `faults.model = "reset"` makes it begin
        with the initial model again.
        """
        return self.model

    def state(self, *initial: Any) -> tuple[Any, ...]:
        """What to begin with besides the model; after a crash what was last committed with it.

        Args:
            initial: one ref or number for each that `commit` is given.
        """
        return self._state or initial

    def zero(self) -> Ref:
        """A vector of zeros."""
        return self._plane.zero()

    def rounds(self, *, catch_up: bool = False) -> Iterator[int]:
        """The numbers of this worker's rounds: 0, 1, 2, ...

        After a crash it begins the same round again.

        Args:
            catch_up: skip the rounds that any neighbour has left behind: for a method that goes on
                without those who are late. A worker knows at once how far its neighbours are.
        """
        while True:
            if catch_up:
                self._rounds[self.id] = max(
                    self._rounds[self.id], max(self._rounds[j] for j in self.neighbours)
                )
            yield self._rounds[self.id]
            self._rounds[self.id] += 1

    def draw(self, name: int, *, of: int | None = None) -> float:
        """A uniform number in [0, 1), named by the worker and `name` (its local step, say).

        Args:
            name: draws of different names are independent.
            of: draws of another worker; `workers` names draws that all have in common.
        """
        worker = self.id if of is None else of
        return float(self._streams.uniforms("choices", worker, name)[0])

    def compute(self, model: Ref, batch: int) -> Generator[simpy.Event, Any, Ref]:
        """Takes as long as the machine needs and gives the mean gradient over so many samples."""
        work_s = self._timing.seconds(batch)
        duration_s = self._speed.duration_s(self._gradients, self._env.now, work_s)
        gradient: Ref = yield from self._compute(model, batch, duration_s, duration_s)
        return gradient

    def compute_unless(
        self, model: Ref, batch: int, tag: Hashable
    ) -> Generator[simpy.Event, Any, Ref | None]:
        """As `compute`, but gives up, and gives None, when a message under the tag is there."""
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
        """Takes deadline_s simulated seconds and gives a gradient over what was done by then.

        Args:
            model: where.
            deadline_s: how long.
            max_batch: the most samples; None for no limit.

        Returns:
            The mean gradient over the samples that the machine got through (zero if there are
            none), and their number.
        """
        work_s = self._speed.work_s(self._gradients, self._env.now, deadline_s)
        # The tolerance keeps 0.57 s at 100 samples/s at 57 samples: the product is 56.99...9.
        samples = self._timing.samples(work_s) * (1 + 1e-12)
        batch, busy_s = floor(samples), deadline_s
        if max_batch is not None and batch > max_batch:
            batch, work_s = max_batch, self._timing.seconds(max_batch)
            busy_s = self._speed.duration_s(self._gradients, self._env.now, work_s)
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
        step, start_s = self._gradients, self._env.now
        gradient = self._plane.gradient(model, self.id, step, self._position, batch)
        self._gradients += 1
        # A machine that stands still for ever is never done.
        done = self._env.event() if isinf(duration_s) else self._env.timeout(duration_s)
        try:
            yield done if unless is None else done | unless
        except simpy.Interrupt:
            self._timeline.compute(self.id, start_s, self._env.now, self.steps, 0)
            raise
        if unless is not None and not done.processed:
            self._timeline.compute(self.id, start_s, self._env.now, self.steps, 0)
            return None
        self.samples += batch
        self._position += batch
        if busy_s == duration_s:
            self._timeline.compute(self.id, start_s, self._env.now, self.steps, batch)
        else:
            self._timeline.compute(self.id, start_s, start_s + busy_s, self.steps, batch)
            self._timeline.wait(self.id, start_s + busy_s, self._env.now, self.steps)
        if self._optimizer is not None and batch:
            gradient, self._velocity = self._optimizer.direction(
                self._plane, self.id, gradient, model, self._velocity
            )
        return gradient

    def compress(
        self, vector: Ref, compressor: Compressor | None = None, *, slot: int = 0
    ) -> Generator[simpy.Event, Any, Message]:
        """Gives a vector as it will arrive, and its exact size; left out, 32-bit floats.

        Takes the time that reading the vector and writing the message takes, where the cluster has
        `charge_memory`; else none.

        Args:
            vector: a model, or what else is sent.
            compressor: what is done to it.
            slot: for a method that sends several vectors: which of them this is. A compressor with
                memory (error feedback) has one for each.
        """
        compressor = compressor or NoCompressor()
        step = self._compressions
        self._compressions += 1
        if compressor.memory and slot in self._left_out:
            vector = self.record(vector + self._left_out[slot])
        content, size_bits = self._plane.compress(vector, compressor, self.id, step)
        if compressor.memory:
            self._left_out[slot] = vector - content
        if self._memory_bytes_per_s is not None and not isinstance(compressor, NoCompressor):
            yield from self._touch(4 * self._plane.parameters + size_bits / 8, "compress")
        return Message(content, size_bits)

    def _touch(self, size_bytes: float, what: Literal["average", "compress"]) -> Waiting:
        """Takes the time in which so many bytes pass through the machine's memory."""
        assert self._memory_bytes_per_s is not None
        start_s = self._env.now
        yield self._env.timeout(size_bytes / self._memory_bytes_per_s)
        note = self._timeline.average if what == "average" else self._timeline.compress
        note(self.id, start_s, self._env.now, self.steps)

    def mix(self, own: Ref, neighbours: Received) -> Generator[simpy.Event, Any, Ref]:
        """Gives w_ii * own + sum_j w_ij * neighbours[j].

        The weights of neighbours that are absent go to the own model: rows of W still sum to 1, and
        where absence is mutual, columns too. Takes the time that reading all these models and
        writing one takes, where the cluster has `charge_memory`; else none.
        """
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
        """Gives sum_k weights[k] * refs[k].

        Takes the time that reading these vectors and writing one takes, where the cluster has
        `charge_memory`; else none.
        """
        if self._memory_bytes_per_s is not None:
            yield from self._touch(4 * self._plane.parameters * (len(refs) + 1), "average")
        return self._plane.sum(weights, refs)

    def mean(self, refs: Sequence[Ref]) -> Generator[simpy.Event, Any, Ref]:
        """Gives the mean of some vectors; takes time as `sum` does."""
        return (yield from self.sum([1 / len(refs)] * len(refs), refs))

    def record(self, ref: Ref) -> Ref:
        """Gives the ref back, to be computed once: for a state that lasts, such as a momentum.

        Models that are committed, sent or differentiated are recorded anyway. What is not recorded
        stays a growing sum of all that went into it.
        """
        self._plane.record(ref, self.id)
        return ref

    def map(self, function: Callable[..., Tensor], *refs: Ref) -> Ref:
        """function(*rows), row by row: for what is no linear combination, such as clipping.

        Args:
            function: takes tensors (rows, parameters), one per ref, and gives one of that shape;
                it must treat rows alike and not change its arguments. Workers that pass the same
                function share one call.
            refs: its arguments.
        """
        return self._plane.map(function, refs, self.id)

    def update(self, model: Ref) -> None:
        """This is the worker's model now, in the middle of a local step: others have changed it."""
        self._plane.record(model, self.id)
        self.model = model
        if not self._average_iterates:
            self.evaluated = model

    def commit(self, model: Ref, *state: Ref | float) -> None:
        """Ends a local step: this is the worker's model now.

        Args:
            model: the model.
            state: what else `state` shall give after a crash; numbers too.
        """
        self._plane.record(model, self.id)
        self.model = model
        for kept in state:
            if isinstance(kept, Ref):
                self._plane.record(kept, self.id)
        self._state = state
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
        self._velocity, self._left_out = self._kept_beside[0], dict(self._kept_beside[1])
        if reset:
            self._state, self._velocity, self._left_out = (), None, {}
            self.model = self.evaluated = self._plane.initial()
            self._averaged = 0
