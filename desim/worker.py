"""One worker, as its algorithm sees it: the only place where the clock meets the tensors."""

from collections.abc import Callable, Generator, Sequence
from itertools import count
from math import floor
from typing import Any, NamedTuple, Protocol, cast

import simpy
from torch import Tensor

from desim.clock.barrier import Barrier
from desim.clock.compute.base import Speeds
from desim.clock.network import Network
from desim.clock.timeline import Timeline
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.tensors.refs import Draw, Node, Plain, Ref
from desim.tensors.tape import Tape

#: What a worker's generator yields and takes: simulated time passes at each `yield from`.
Waiting = Generator[simpy.Event, Any, Any]


class Message(NamedTuple):
    """A model on its way: what arrives, and how many bits it takes."""

    content: Ref
    size_bits: int


class Plane(Protocol):
    """The tensor side of a worker."""

    parameters: int

    def initial(self) -> Ref:
        """The model that all workers start from."""

    def gradient(self, model: Ref, worker: int, step: int, position: int, batch: int) -> Ref:
        """Mean gradient over a batch."""

    def compress(self, model: Ref, compressor: Compressor, worker: int, step: int) -> Ref:
        """What arrives when the model is sent compressed."""

    def mix(
        self, own_weight: float, own: Ref, weights: list[float], neighbours: Sequence[Ref]
    ) -> Ref:
        """own_weight * own + sum_k weights[k] * neighbours[k]."""

    def record(self, ref: Ref, worker: int) -> None:
        """Makes one operation of a worker's linear combination."""

    def map(self, function: Callable[..., Tensor], refs: Sequence[Ref], worker: int) -> Ref:
        """A row-wise function."""


class Tensors:
    """The tensor side with real numbers.

    Args:
        tape: where operations are recorded.
        initial: the model that all workers start from.
        parameters: its size.
    """

    def __init__(self, tape: Tape, initial: Ref, parameters: int) -> None:
        self._tape, self._initial, self.parameters = tape, initial, parameters
        self._dtype = tape.kernels.store.data.dtype

    def initial(self) -> Ref:
        """The initial model."""
        return self._initial

    def gradient(self, model: Ref, worker: int, step: int, position: int, batch: int) -> Ref:
        """A recorded gradient."""
        return self._tape.gradient(model, worker, step, position, batch)

    def compress(self, model: Ref, compressor: Compressor, worker: int, step: int) -> Ref:
        """A recorded compression, or the model itself where nothing is lost."""
        if isinstance(compressor, NoCompressor) and compressor.exact_for(self._dtype):
            self._tape.record(model, worker)
            return model
        return self._tape.map(compressor, [model], Draw("dither", worker, step))

    def mix(
        self, own_weight: float, own: Ref, weights: list[float], neighbours: Sequence[Ref]
    ) -> Ref:
        """A linear combination; what has been sent is one recorded operation each."""
        nodes = cast(list[Node], [ref.node for ref in neighbours])
        return Ref([(own_weight * f, n, w) for f, n, w in own.terms] + [(1.0, nodes, weights)])

    def record(self, ref: Ref, worker: int) -> None:
        """Makes one operation of a worker's linear combination."""
        self._tape.record(ref, worker)

    def map(self, function: Callable[..., Tensor], refs: Sequence[Ref], worker: int) -> Ref:
        """A recorded row-wise function."""
        return self._tape.map(Plain(function), refs, Draw("dither", worker, 0))


class NoTensors:
    """The tensor side of a run that has only a clock: every ref is zero.

    Args:
        parameters: the model's size.
    """

    def __init__(self, parameters: int) -> None:
        self.parameters = parameters
        self._zero = Ref([])

    def initial(self) -> Ref:
        """Zero."""
        return self._zero

    def gradient(self, model: Ref, worker: int, step: int, position: int, batch: int) -> Ref:
        """Zero."""
        return self._zero

    def compress(self, model: Ref, compressor: Compressor, worker: int, step: int) -> Ref:
        """Zero."""
        return self._zero

    def mix(
        self, own_weight: float, own: Ref, weights: list[float], neighbours: Sequence[Ref]
    ) -> Ref:
        """Zero."""
        return self._zero

    def record(self, ref: Ref, worker: int) -> None:
        """Nothing to do."""

    def map(self, function: Callable[..., Tensor], refs: Sequence[Ref], worker: int) -> Ref:
        """Zero."""
        return self._zero


class Received:
    """The models of a worker's neighbours: a mapping from their numbers to refs."""

    __slots__ = ("messages", "workers")

    def __init__(self, workers: Sequence[int], messages: Sequence[Ref]) -> None:
        self.workers, self.messages = workers, messages

    def __getitem__(self, worker: int) -> Ref:
        return self.messages[self.workers.index(worker)]

    def __len__(self) -> int:
        return len(self.messages)

    def items(self) -> list[tuple[int, Ref]]:
        """(neighbour, model) pairs."""
        return list(zip(self.workers, self.messages, strict=True))


class Worker:
    """One worker of a simulation.

    Attributes:
        id: its number, from 0.
        neighbours: its neighbours' numbers, ascending.
        own_weight: w_ii of the mixing matrix.
        weights: w_ij in the order of `neighbours`.
        horizon: T, the number of rounds of the run, or None where the scenario gives none.
        mean_speed_sps: E[V] of the cluster's workers, samples/s.
        model: the last committed model.
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
        speeds: Speeds,
        timeline: Timeline,
        horizon: int | None,
        mean_speed_sps: float,
        committed: Callable[[], None],
        memory_bps: float | None = None,
        average_iterates: bool = False,
    ) -> None:
        self.id, self.neighbours = id, list(neighbours)
        self.own_weight, self.weights = own_weight, list(weights)
        self.horizon, self.mean_speed_sps = horizon, mean_speed_sps
        self.model = self.evaluated = plane.initial()
        self.steps = self.samples = 0
        self._env, self._plane, self._network = env, plane, network
        self._barrier, self._speeds, self._timeline = barrier, speeds, timeline
        self._committed, self._average_iterates = committed, average_iterates
        self._gradients = count()
        self._compressions = count()
        self._sent_until = 0.0
        # An average reads the neighbours' models and one's own, and writes one.
        bits = 32 * plane.parameters * (len(self.neighbours) + 2)
        self._mix_s = bits / memory_bps if memory_bps else 0.0

    @property
    def now_s(self) -> float:
        """Simulated time in seconds."""
        return float(self._env.now)

    def initial_model(self) -> Ref:
        """The model that all workers start from."""
        return self._plane.initial()

    def compute(self, model: Ref, batch: int) -> Generator[simpy.Event, Any, Ref]:
        """Takes batch / V simulated seconds and gives the mean gradient over so many samples."""
        step = next(self._gradients)
        return (yield from self._compute(model, step, batch, batch / self._speeds.at(step)))

    def compute_until(
        self, model: Ref, deadline_s: float
    ) -> Generator[simpy.Event, Any, tuple[Ref, int]]:
        """Takes deadline_s simulated seconds and gives a gradient over what was done by then.

        Returns:
            The mean gradient over floor(V * deadline_s) samples (zero if there are none), and
            that number.
        """
        step = next(self._gradients)
        # The tolerance keeps 0.57 s at 100 samples/s at 57 samples: the product is 56.99...9.
        batch = floor(self._speeds.at(step) * deadline_s * (1 + 1e-12))
        return (yield from self._compute(model, step, batch, deadline_s)), batch

    def _compute(
        self, model: Ref, step: int, batch: int, duration_s: float
    ) -> Generator[simpy.Event, Any, Ref]:
        gradient = self._plane.gradient(model, self.id, step, self.samples, batch)
        start_s = self._env.now
        yield self._env.timeout(duration_s)
        self.samples += batch
        self._timeline.compute(self.id, start_s, self._env.now, step, batch)
        return gradient

    def compress(self, model: Ref, compressor: Compressor | None = None) -> Message:
        """The model as it will arrive, and its exact size; left out, 32-bit floats."""
        compressor = compressor or NoCompressor()
        step = next(self._compressions)
        content = self._plane.compress(model, compressor, self.id, step)
        return Message(content, compressor.sent_bits(self._plane.parameters))

    def broadcast(self, message: Message, tag: int) -> None:
        """Sends to all neighbours, who `gather` it under the tag; takes no time of the worker's."""
        self._sent_until = self._network.broadcast(self.id, message.content, message.size_bits, tag)

    def gather(self, tag: int) -> Generator[simpy.Event, Any, Received]:
        """Waits until the messages of all neighbours under this tag have arrived."""
        start_s = self._env.now
        messages = yield from self._network.gather(self.id, tag)
        self._waited(start_s)
        return Received(self.neighbours, messages)

    def barrier(self) -> Waiting:
        """Waits until all workers have come here."""
        start_s = self._env.now
        yield self._barrier.arrive()
        self._waited(start_s)

    def _waited(self, start_s: float) -> None:
        # While a worker's own message goes out it is sending, not idle.
        start_s = max(start_s, self._sent_until)
        if self._env.now > start_s:
            self._timeline.wait(self.id, start_s, self._env.now, self.steps)

    def send(self, message: Message) -> Waiting:
        """Sends to all neighbours, who read the `newest`; waits until all have received it."""
        left, arrives = self._network.post(
            self.id, message.content, message.size_bits, self.steps, replace=False
        )
        self._sent_until = left
        start_s = self._env.now
        if arrives > start_s:
            yield self._env.timeout(arrives - start_s)
            self._waited(start_s)

    def send_when_free(self, message: Message) -> None:
        """Sends to all neighbours, who read the `newest`; takes no time of the worker's.

        On a link that is still busy the message waits, and takes the place of an older one that
        waits already.
        """
        self._network.post(self.id, message.content, message.size_bits, self.steps, replace=True)

    def newest(self, *, instant: bool = False) -> Received:
        """The newest model of each neighbour that has arrived; the initial one before that.

        Args:
            instant: see what neighbours have handed to their links, arrived or not.
        """
        return Received(self.neighbours, self._network.newest(self.id, instant=instant))

    def mix(self, own: Ref, neighbours: Received) -> Generator[simpy.Event, Any, Ref]:
        """Gives w_ii * own + sum_j w_ij * neighbours[j].

        Takes as long as the cluster's `memory_bps` says, without that no time.
        """
        if self._mix_s:
            start_s = self._env.now
            yield self._env.timeout(self._mix_s)
            self._timeline.average(self.id, start_s, self._env.now, self.steps)
        return self._plane.mix(self.own_weight, own, self.weights, neighbours.messages)

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
        if self._average_iterates and self.steps > 1:
            share = 1 / self.steps  # the mean of t models, from that of t - 1
            model = self.record(self.evaluated + share * (model - self.evaluated))
        self.evaluated = model
        self._committed()
