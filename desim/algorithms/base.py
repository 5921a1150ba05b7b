"""What a training method is."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import field_validator

from desim.clock.fleet import Fleet
from desim.errors import ScenarioError
from desim.mixings.base import Mixing, Weights
from desim.schema.registry import Member
from desim.step_sizes.base import StepSize
from desim.streams import Streams
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.tensors.optimizer import Optimizer
from desim.topologies.base import Topology
from desim.worker.protocol import Waiting, Worker


class Algorithm(Member):
    """A method as one worker sees it.

    Attributes:
        label: its name in tables and figures; left out, its kind.
        step_size: alpha, and epsilon of methods with a consensus step.
        optimizer: momentum, weight decay and clipping of each worker's gradients.
        topology, mixing: the method's own; left out, the network's.

    Class attributes:
        averages: whether it needs a W whose columns sum to 1 as its rows do (all but push-sum
            methods), so that averaging keeps the mean.
        survives_reset: whether it still works when a crash costs a worker its model, and all that
            it keeps beside it; not where others hold replicas of that, or rely on its sum.
    """

    axis: ClassVar[str] = "algorithms"
    averages: ClassVar[bool] = True
    survives_reset: ClassVar[bool] = True

    step_size: StepSize
    label: str = ""
    optimizer: Optimizer = Optimizer()
    topology: Topology | None = None
    mixing: Mixing | None = None

    @field_validator("label")
    @classmethod
    def _can_be_read(cls, label: str) -> str:
        if label and (not label.isprintable() or not label.strip()):
            raise ValueError("must be letters that can be seen, in one line")
        return label

    @property
    def name(self) -> str:
        """The label; where there is none the kind, or a class of the user's own by its name."""
        return self.label or type(self).__dict__.get("kind", type(self).__name__)

    @property
    def skips(self) -> bool:
        """Whether workers go on without neighbours that are absent or late."""
        return False

    @abstractmethod
    def worker(self, me: Worker) -> Waiting:
        """The worker's life, a generator that never ends; the scenario's [stop] ends it.

        After a crash it is restarted, from `me.initial_model()`; tags of messages should come from
        `me.rounds()`, which goes on where the worker was.
        """

    def server(self, me: Worker) -> Waiting:
        """The server's life; a method that defines it has one.

        The server is one more node, that all workers are linked to and nobody else. What it commits
        is the model that is evaluated, and no local step.
        """
        yield from ()

    @property
    def has_server(self) -> bool:
        """Whether there is a server."""
        return type(self).server is not Algorithm.server

    def prepare(self, weights: Weights, streams: Streams) -> Any:
        """What all workers know from the beginning, `me.common`: who is whose partner, say.

        Args:
            weights: the graph and its mixing matrix.
            streams: random numbers by name; use the purpose "choices".

        Raises:
            ScenarioError: the method can't run on this graph, or with these weights.
        """
        return None

    def message_bits(self, size: Callable[[Compressor], int], workers: int) -> tuple[int, ...]:
        """The sizes that its messages have, in bits, the usual one first.

        Args:
            size: the bits of one vector (a model, a gradient) under a compressor.
            workers: how many there are.
        """
        return (size(getattr(self, "compressor", NoCompressor())),)

    def messages_per_round(self, workers: int) -> tuple[int, int]:
        """At least so many messages are sent in a round, and on so many directed links.

        To be overridden by a method of which that is known before there is a graph; absurd numbers
        are then refused at once.
        """
        return 0, 0

    def check(self, fleet: Fleet) -> None:
        """Raises ScenarioError where the method can't run on these machines."""
        try:
            self.details(fleet)
        except ScenarioError as error:
            raise ScenarioError(f"algorithms.{self.name}.{error}") from None

    def details(self, fleet: Fleet) -> dict[str, Any]:
        """What `desim check` prints of the method: a name and a value with its unit each."""
        return {}
