"""What a training method is."""

from abc import abstractmethod
from typing import Any, ClassVar

from desim.clock.fleet import Fleet
from desim.errors import ScenarioError
from desim.registry import Member
from desim.step_sizes.base import StepSize
from desim.worker import Waiting, Worker


class Algorithm(Member):
    """A method as one worker sees it.

    Attributes:
        label: its name in tables and figures; left out, its kind.
        step_size: alpha and epsilon.
    """

    axis: ClassVar[str] = "algorithms"
    #: Whether all that the number of rounds T changes is its step size: a sweep over T then needs
    #: one run where that is constant. Not inherited, since a subclass may look at T elsewhere.
    horizon_only_in_step_size: ClassVar[bool] = False

    step_size: StepSize
    label: str = ""

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

        After a crash it is begun anew, from `me.initial_model()`; tags of messages should come from
        `me.rounds()`, which goes on where the worker was.
        """

    def check(self, fleet: Fleet) -> None:
        """Raises ScenarioError where the method can't run on these machines."""
        try:
            self.plan(fleet)
        except ScenarioError as error:
            raise ScenarioError(f"algorithms.{self.name}.{error}") from None

    def plan(self, fleet: Fleet) -> dict[str, Any]:
        """What `desim check` prints of the method: a name and a value with its unit each."""
        return {}
