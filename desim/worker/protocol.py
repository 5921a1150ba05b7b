"""What a method sees of the worker that it runs on.

Methods import this file only. The simulated worker (desim/worker/simulated.py) implements the
protocol on the clock and the tape; another one may do so on processes that send real bytes. Some
methods still do what no real worker could:

- `parts/all_reduce.py` (all-reduce-sgd, prague): a message names whole vectors, in a dictionary by
  member, and is billed as the chunk that a real one would carry.
- `parts/exchanges.py`, `parts/line.py` (ad-psgd, swarm-sgd): who has asked whom, and which pairs
  wait for which, is one memory for all workers.
- `parts/groups.py` (prague, swarm-sgd): groups are drawn by a coordinator that all reach at no
  cost.
- `parts/mailboxes.py`, `parts/token_queues.py`, `parts/pushes.py`: made once for all workers in
  `prepare`, though each worker touches its own part only.
- `rounds(catch_up=True)` (absent = "skip"): a worker reads how far its neighbours are.
- `barrier` (barrier = "global"): opens for all at the instant at which the last one comes, without
  a message.
- choco-sgd, dcd-psgd, ecd-psgd: the message is the sender's whole new replica, billed as the
  compressed change: all copies are equal, so a receiver would compute the same.
- tags, and the numbers of requests, ride in headers that aren't billed.
- `Message` doesn't say of what types its content is.
"""

from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from desim.clock.fleet import Fleet
from desim.tensors.compressors.base import Compressor
from desim.tensors.received import Received
from desim.tensors.refs import Ref
from desim.worker.message import Message

if TYPE_CHECKING:
    from torch import Tensor

    from desim.clock.mailbox import Delivery

#: A method's generator yields and takes: time passes at each `yield from`.
Waiting = Generator[Any, Any, Any]


class Worker(Protocol):
    """One worker, or the server of a method that has one.

    Attributes:
        id: its number, from 0; the server comes after all workers.
        workers: how many workers there are, the server aside.
        neighbours: those that it hears, ascending; in a graph without directions its neighbours.
        targets: those that it sends to, ascending.
        own_weight: w_ii of the mixing matrix.
        weights: w_ij in the order of `neighbours`.
        fleet: all workers' machines; `fleet.deadline_s(b)` is T_d for a mean batch b.
        common: what the algorithm's `prepare` has returned: the same for all.
        model: the last committed model; after a crash that costs it, the initial one.
        present: whether it is there: not crashed, gone or yet to join.
        steps: local steps committed so far; of a server, its commits.
    """

    id: int
    workers: int
    neighbours: list[int]
    targets: list[int]
    own_weight: float
    weights: list[float]
    fleet: Fleet
    common: Any
    model: Ref
    present: bool
    steps: int

    @property
    def now_s(self) -> float:
        """The time in seconds."""

    # Where a worker begins, and how far it is.

    def initial_model(self) -> Ref:
        """The model to begin with: the same for all workers; after a crash the last committed one.

        A worker that comes back restarts its generator; `faults.model = "reset"` makes it begin
        with the initial model again.
        """

    def state(self, *initial: Any) -> tuple[Any, ...]:
        """What to begin with besides the model; after a crash what was last committed with it.

        Args:
            initial: one ref or number for each that `commit` is given.
        """

    def rounds(self, *, catch_up: bool = False) -> Iterator[int]:
        """The numbers of this worker's rounds: 0, 1, 2, ...

        After a crash it begins the same round again.

        Args:
            catch_up: skip the rounds that any neighbour has left behind: for a method that goes on
                without those who are late. A worker knows at once how far its neighbours are.
        """

    def step_size(self) -> float:
        """alpha of this local step: to be asked at every one, since it may change.

        A server is as far as the mean of its workers.
        """

    def consensus_step(self) -> float:
        """epsilon of this local step, for methods derived from `Consensus`."""

    def draw(self, name: int, *, of: int | None = None) -> float:
        """A uniform number in [0, 1), named by the worker and `name` (its local step, say).

        Args:
            name: draws of different names are independent.
            of: draws of another worker; `workers` names draws that all have in common.
        """

    # Gradients.

    def reset_momentum(self) -> None:
        """Forgets the velocity of the `optimizer`: the next gradient is its first."""

    def compute(self, model: Ref, batch: int) -> Generator[Any, Any, Ref]:
        """Takes as long as the machine needs and gives the mean gradient over so many samples."""

    def compute_until(
        self, model: Ref, deadline_s: float, max_batch: int | None = None
    ) -> Generator[Any, Any, tuple[Ref, int]]:
        """Takes deadline_s seconds and gives a gradient over what was done by then.

        Args:
            model: where.
            deadline_s: how long.
            max_batch: the most samples; None for no limit.

        Returns:
            The mean gradient over the samples that the machine got through (zero if there are
            none), and their number.
        """

    def compute_unless(
        self, model: Ref, batch: int, tag: Hashable
    ) -> Generator[Any, Any, Ref | None]:
        """As `compute`, but gives up, and gives None, when a message under the tag is there."""

    # Vectors.

    def zero(self) -> Ref:
        """A vector of zeros."""

    def mix(self, own: Ref, neighbours: Received) -> Generator[Any, Any, Ref]:
        """Gives w_ii * own + sum_j w_ij * neighbours[j].

        The weights of neighbours that are absent go to the own model: rows of W still sum to 1, and
        where absence is mutual, columns too. Takes the time that reading all these models and
        writing one takes, where the cluster has `charge_memory`; else none.
        """

    def sum(self, weights: Sequence[float], refs: Sequence[Ref]) -> Generator[Any, Any, Ref]:
        """Gives sum_k weights[k] * refs[k].

        Takes the time that reading these vectors and writing one takes, where the cluster has
        `charge_memory`; else none.
        """

    def mean(self, refs: Sequence[Ref]) -> Generator[Any, Any, Ref]:
        """Gives the mean of some vectors; takes time as `sum` does."""

    def map(self, function: "Callable[..., Tensor]", *refs: Ref) -> Ref:
        """function(*rows), row by row: for what is no linear combination, such as clipping.

        Args:
            function: takes tensors (rows, parameters), one per ref, and gives one of that shape;
                it must treat rows alike and not change its arguments. Workers that pass the same
                function share one call.
            refs: its arguments.
        """

    def record(self, ref: Ref) -> Ref:
        """Gives the ref back, to be computed once: for a state that lasts, such as a momentum.

        Models that are committed, sent or differentiated are recorded anyway. What is not recorded
        stays a growing sum of all that went into it.
        """

    # Models that others see.

    def commit(self, model: Ref, *state: Ref | float) -> None:
        """Ends a local step: this is the worker's model now.

        Args:
            model: the model.
            state: what else `state` should give after a crash; numbers too.
        """

    def update(self, model: Ref) -> None:
        """This is the worker's model now, in the middle of a local step: others have changed it."""

    def applied(self, age: int) -> None:
        """A gradient has been applied that was computed so many updates of the model ago.

        For a server to say: what workers compute and commit themselves is counted by `commit`. The
        metrics `staleness-mean` and `staleness-max` are made of it.
        """

    # Messages.

    def compress(
        self, vector: Ref, compressor: Compressor | None = None, *, slot: int = 0
    ) -> Generator[Any, Any, Message]:
        """Gives a vector as it will arrive, and its exact size; left out, 32-bit floats.

        Takes the time that reading the vector and writing the message takes, where the cluster has
        `charge_memory`; else none.

        Args:
            vector: a model, or what else is sent.
            compressor: what is done to it.
            slot: for a method that sends several vectors: which of them this is. A compressor with
                memory (error feedback) has one for each.
        """

    def broadcast(self, message: Message, tag: int) -> None:
        """Sends to all targets, who `gather` it under the tag; takes no time of the worker's."""

    def gather(self, tag: int, timeout_s: float | None = None) -> Generator[Any, Any, Received]:
        """Waits until the messages of all neighbours under this tag have arrived.

        Args:
            tag: at least that of the last call.
            timeout_s: after so long it goes on with those that have arrived; None waits for all.
        """

    def barrier(self) -> Waiting:
        """Waits until all workers have come here."""

    def send(self, message: Message, timeout_s: float | None = None) -> Waiting:
        """Sends to all targets, who read the `newest`; waits until all have received it.

        Args:
            message: what to send.
            timeout_s: after so long it goes on; None waits for all.
        """

    def send_when_free(self, message: Message) -> None:
        """Sends to all targets, who read the `newest`; takes no time of the worker's.

        On a link that is still busy the message waits, and takes the place of an older one that
        waits already.
        """

    def newest(self, *, instant: bool = False) -> Received:
        """The newest model of each neighbour that has arrived; the initial one before that.

        Args:
            instant: see what neighbours have handed to their links, arrived or not.
        """

    def tell(self, target: int, message: Message, tag: Hashable) -> None:
        """Sends to one target, who `hear`s it under the tag; takes no time of the worker's."""

    def tell_all(self, targets: Iterable[int], message: Message, tag: Hashable) -> None:
        """Sends to some targets, each in a message of its own."""

    def hear(self, tag: Hashable, count: int = 1) -> "Generator[Any, Any, list[Delivery]]":
        """Waits until so many messages under the tag are there, and takes them.

        Returns:
            (sender, content) of each, in the order of their arrival.
        """

    def heard(self, tag: Hashable) -> "list[Delivery]":
        """Takes the messages under the tag that are there."""

    def on(self, tag: Hashable, handler: Callable[[int, Any], None]) -> None:
        """Has messages under the tag handled at the instant of their arrival.

        Args:
            tag: of the messages.
            handler: called with the sender's number and the content, whatever the worker is doing;
                takes no time. It may `tell` and `record`, but not wait.
        """

    def until(self, condition: Callable[[], bool]) -> Waiting:
        """Waits until the condition holds; it is looked at whenever a message has arrived."""
