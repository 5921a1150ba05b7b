"""One worker, as its algorithm sees it: the only place where the clock meets the tensors."""

from collections.abc import Callable, Generator, Iterator, Sequence
from math import floor, inf, isinf
from typing import Any, Literal, NamedTuple, cast

import simpy
from torch import Tensor

from desim.clock.barrier import Barrier
from desim.clock.fleet import Fleet
from desim.clock.hardware import Timing
from desim.clock.network import Network
from desim.clock.stragglers.base import Speed
from desim.clock.timeline import Timeline
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.tensors.plane import Plane
from desim.tensors.received import Received
from desim.tensors.refs import Ref

#: What a worker's generator yields and takes: simulated time passes at each `yield from`.
Waiting = Generator[simpy.Event, Any, Any]


class Message(NamedTuple):
    """A model on its way: what arrives, and how many bits it takes."""

    content: Ref
    size_bits: int


class Worker:
    """One worker of a simulation.

    Attributes:
        id: its number, from 0.
        neighbours: its neighbours' numbers, ascending.
        own_weight: w_ii of the mixing matrix.
        weights: w_ij in the order of `neighbours`.
        horizon: T, the number of rounds of the run, or None where the scenario gives none.
        fleet: all workers' machines; `fleet.deadline_s(b)` is T_d for a mean batch b.
        model: the last committed model; after a crash that costs it, the initial one.
        present: whether it is there, not crashed, gone or yet to join.
        evaluated: what evaluations look at: that, or the mean of all committed models.
        steps: local steps committed so far.
        samples: samples whose gradients have been computed so far.
    """

    def __init__(
        self,
        id: int,
        neighbours: Sequence[int],
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
        memory_bytes_per_s: float | None = None,
        average_iterates: bool = False,
    ) -> None:
        self.id, self.neighbours = id, list(neighbours)
        self.own_weight, self.weights = own_weight, list(weights)
        self.horizon, self.fleet = horizon, fleet
        self.model = self.evaluated = plane.initial()
        self.steps = self.samples = 0
        self.present = True
        self._env, self._plane, self._network = env, plane, network
        self._barrier, self._speed, self._timeline = barrier, speed, timeline
        self._timing, self._memory_bytes_per_s = timing, memory_bytes_per_s
        self._committed, self._average_iterates = committed, average_iterates
        # How many there were (samples drawn, the last), and how many at the last commit: draws are
        # named by these.
        self._gradients = self._compressions = self._position = 0
        self._kept = (0, 0, 0)
        # Barriers of this local step: how many it has come to, and how many have opened for it.
        self._barriers = self._opened = 0
        #: How many models are in the mean of them.
        self._averaged = 0
        #: The round that each worker is in.
        self._rounds = rounds
        #: What it waits for: the tag that it gathers, the barrier, or to be received.
        self._waits: int | Literal["barrier", "received"] | None = None
        self._waits_since_s = 0.0

    @property
    def now_s(self) -> float:
        """Simulated time in seconds."""
        return float(self._env.now)

    def initial_model(self) -> Ref:
        """The model to begin with: the same for all workers; after a crash the last committed one.

        A worker that comes back begins its generator anew; `faults.model = "reset"` makes it begin
        with the initial model again.
        """
        return self.model

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

    def compute(self, model: Ref, batch: int) -> Generator[simpy.Event, Any, Ref]:
        """Takes as long as the machine needs and gives the mean gradient over so many samples."""
        work_s = self._timing.seconds(batch)
        duration_s = self._speed.duration_s(self._gradients, self._env.now, work_s)
        return (yield from self._compute(model, batch, duration_s, duration_s))

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
        self, model: Ref, batch: int, busy_s: float, duration_s: float
    ) -> Generator[simpy.Event, Any, Ref]:
        """Computes for busy_s, and stands idle for the rest of duration_s."""
        step, start_s = self._gradients, self._env.now
        gradient = self._plane.gradient(model, self.id, step, self._position, batch)
        self._gradients += 1
        try:
            # A machine that stands still for ever is never done.
            yield self._env.event() if isinf(duration_s) else self._env.timeout(duration_s)
        except simpy.Interrupt:
            self._timeline.compute(self.id, start_s, self._env.now, step, 0)
            raise
        self.samples += batch
        self._position += batch
        if busy_s == duration_s:
            self._timeline.compute(self.id, start_s, self._env.now, step, batch)
        else:
            self._timeline.compute(self.id, start_s, start_s + busy_s, step, batch)
            self._timeline.wait(self.id, start_s + busy_s, self._env.now, self.steps)
        return gradient

    def compress(
        self, model: Ref, compressor: Compressor | None = None
    ) -> Generator[simpy.Event, Any, Message]:
        """Gives the model as it will arrive, and its exact size; left out, 32-bit floats.

        Takes the time that reading the model and writing the message takes, where the cluster has
        `charge_memory`; else none.
        """
        compressor = compressor or NoCompressor()
        step = self._compressions
        self._compressions += 1
        content = self._plane.compress(model, compressor, self.id, step)
        message = Message(content, compressor.sent_bits(self._plane.parameters))
        if self._memory_bytes_per_s is not None and not isinstance(compressor, NoCompressor):
            touched = 4 * self._plane.parameters + message.size_bits / 8
            start_s = self._env.now
            yield self._env.timeout(touched / self._memory_bytes_per_s)
            self._timeline.compress(self.id, start_s, self._env.now, self.steps)
        return message

    def broadcast(self, message: Message, tag: int) -> None:
        """Sends to all neighbours, who `gather` it under the tag; takes no time of the worker's."""
        self._network.broadcast(self.id, message.content, message.size_bits, tag)

    def gather(
        self, tag: int, timeout_s: float | None = None
    ) -> Generator[simpy.Event, Any, Received]:
        """Waits until the messages of all neighbours under this tag have arrived.

        Args:
            tag: at least that of the last call.
            timeout_s: after so long it goes on with those that have arrived; None waits for all.
        """
        self._waits, self._waits_since_s = tag, self._env.now
        timeout_s = inf if timeout_s is None else timeout_s
        try:
            messages = yield from self._network.gather(self.id, tag, timeout_s)
        except simpy.Interrupt:
            self._waited()
            raise
        self._waited()
        if timeout_s < inf:
            return Received.some(self.neighbours, messages)
        return Received(self.neighbours, messages)

    def barrier(self) -> Waiting:
        """Waits until all workers have come here."""
        self._barriers += 1
        if self._barriers <= self._opened:
            return  # the others have gone on from it; a crash came before the end of this step
        self._waits, self._waits_since_s = "barrier", self._env.now
        event = self._barrier.arrive(self.id, self._rounds[self.id])
        try:
            # All go on together: who has missed rounds leaves them out.
            self._rounds[self.id] = yield event
        except simpy.Interrupt:
            self._waited()
            if event.triggered:  # it opened at the instant of the crash
                self._opened, self._rounds[self.id] = self._barriers, cast(int, event.value)
            raise
        self._waited()
        self._opened = self._barriers

    def waits_for(self) -> list[int] | None:
        """Whom it waits for; None where it waits for nobody."""
        match self._waits:
            case None:
                return None
            case "barrier":
                return self._barrier.missing()
            case "received":
                return self.neighbours
            case tag:
                return self._network.missing(self.id, tag)

    def stall(self) -> None:
        """Notes the wait that will never end."""
        if self._waits is not None:
            self._waited()

    def _waited(self) -> None:
        self._waits = None
        # While a worker's own message goes out it is sending, not idle.
        start_s, sent_s = self._waits_since_s, self._network.sent_until_s[self.id]
        if sent_s > start_s:
            start_s = sent_s
        now_s = self._env.now
        if now_s > start_s:
            self._timeline.wait(self.id, start_s, now_s, self.steps)

    def send(self, message: Message, timeout_s: float | None = None) -> Waiting:
        """Sends to all neighbours, who read the `newest`; waits until all have received it.

        Args:
            message: what to send.
            timeout_s: after so long it goes on; None waits for all.
        """
        self._waits, self._waits_since_s = "received", self._env.now
        timeout_s = inf if timeout_s is None else timeout_s
        content, size_bits = message
        try:
            yield from self._network.send(self.id, content, size_bits, self.steps, timeout_s)
        except simpy.Interrupt:
            self._waited()
            raise
        self._waited()

    def send_when_free(self, message: Message) -> None:
        """Sends to all neighbours, who read the `newest`; takes no time of the worker's.

        On a link that is still busy the message waits, and takes the place of an older one that
        waits already.
        """
        self._network.post(self.id, message.content, message.size_bits, self.steps)

    def newest(self, *, instant: bool = False) -> Received:
        """The newest model of each neighbour that has arrived; the initial one before that.

        Args:
            instant: see what neighbours have handed to their links, arrived or not.
        """
        return Received(self.neighbours, self._network.newest(self.id, instant=instant))

    def mix(self, own: Ref, neighbours: Received) -> Generator[simpy.Event, Any, Ref]:
        """Gives w_ii * own + sum_j w_ij * neighbours[j].

        The weights of neighbours that are absent go to the own model: rows of W still sum to 1, and
        where absence is mutual, columns too. Takes the time that reading all these models and
        writing one takes, where the cluster has `charge_memory`; else none.
        """
        if self._memory_bytes_per_s is not None:
            touched = 4 * self._plane.parameters * (len(neighbours) + 2)
            start_s = self._env.now
            yield self._env.timeout(touched / self._memory_bytes_per_s)
            self._timeline.average(self.id, start_s, self._env.now, self.steps)
        own_weight, weights = self.own_weight, self.weights
        if neighbours.absent:
            there = set(neighbours.workers)
            pairs = list(zip(self.neighbours, self.weights, strict=True))
            own_weight += sum(w for j, w in pairs if j not in there)
            weights = [w for j, w in pairs if j in there]
        if not weights:
            return own_weight * own
        return self._plane.mix(own_weight, own, weights, neighbours.messages)

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

    def commit(self, model: Ref) -> None:
        """Ends a local step: this is the worker's model now."""
        self._plane.record(model, self.id)
        self.model = model
        self.steps += 1
        self._kept = (self._gradients, self._compressions, self._position)
        self._barriers = self._opened = 0
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
        if reset:
            self.model = self.evaluated = self._plane.initial()
            self._averaged = 0
