"""The fleet: every worker's machine, and how much all of them get done."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isinf

from desim.clock.hardware import Cost, Hardware, Timing
from desim.clock.stragglers.base import StragglerModel, checked_mean
from desim.errors import ScenarioError
from desim.schema.own_code import is_own


@dataclass(frozen=True)
class Group:
    """Workers with equal machines.

    Attributes:
        hardware: the machine, resolved.
        count: how many have it.
        timing: how long a gradient takes on it.
        stragglers: how its speed varies.
    """

    hardware: Hardware
    count: int
    timing: Timing
    stragglers: StragglerModel


class Fleet:
    """The workers' machines.

    Args:
        machines: hardware with the number of workers that have it, in the workers' order.
        stragglers: for hardware that names none.
        cost: of a gradient of the model; needed where a machine's speed isn't simply given.

    Attributes:
        groups: those with equal machines, in the workers' order.
    """

    def __init__(
        self,
        machines: Sequence[tuple[Hardware, int]],
        stragglers: StragglerModel,
        cost: Cost | None,
    ) -> None:
        self._deadlines_s: dict[float, float] = {}
        self.groups: list[Group] = []
        for machine, count in machines:
            hardware, timing = machine.resolved(), machine.timing(cost)
            own = hardware.stragglers or stragglers
            self.groups.append(Group(hardware, count, timing, own))

    def workers(self) -> list[Group]:
        """The group of each worker."""
        return [group for group in self.groups for _ in range(group.count)]

    def mean_speed_sps(self) -> float:
        """E[V] over all workers in large batches, samples/s; inf where it isn't finite."""
        return sum(share * speed * timing.speed_sps for share, timing, speed in self._kinds)

    @cached_property
    def _kinds(self) -> list[tuple[float, Timing, float]]:
        """(their share of the workers, timing, mean speed) of workers that are equal in these."""
        equal = Counter(
            (group.timing, _mean_speed(group.stragglers, worker))
            for worker, group in enumerate(self.workers())
        )
        return [(count / equal.total(), *kind) for kind, count in equal.items()]

    @property
    def proportional(self) -> bool:
        """Whether a gradient's time is proportional to its batch."""
        timings = [group.timing for group in self.groups]
        return not any(
            timing.overhead_s or timing.memory_fixed_s or timing.compute_fixed_s
            for timing in timings
        )

    def deadline_s(self, batch: float) -> float:
        """T_d: the time in which workers of mean speed get through `batch` samples in the mean.

        That is b / E[V] where a gradient's time is proportional to its batch.

        Raises:
            ScenarioError: E[V] isn't finite, or is 0.
        """
        speed_sps = self.mean_speed_sps()
        if isinf(speed_sps):
            raise ScenarioError(
                f"expected_batch = {batch:g}: E[V] isn't finite for these stragglers, so that "
                "T_d = b / E[V] would be 0; give deadline_s"
            )
        if speed_sps == 0:
            raise ScenarioError(
                f"expected_batch = {batch:g}: E[V] is 0 for these stragglers, so that there is no "
                "T_d = b / E[V]; give deadline_s"
            )
        # Every worker asks, and asks again when it comes back from a crash.
        if batch not in self._deadlines_s:
            self._deadlines_s[batch] = self._solve_s(batch, batch / speed_sps)
        return self._deadlines_s[batch]

    def _solve_s(self, batch: float, least_s: float) -> float:
        if self.proportional:
            return least_s
        from scipy.optimize import brentq

        factor = 1.0
        while self.mean_batch(factor * least_s) < batch:
            factor *= 2
        if factor == 1:
            return least_s
        # In multiples of the least: the solver's tolerance is an absolute one.
        return least_s * float(brentq(lambda x: self.mean_batch(x * least_s) - batch, 1, factor))

    def mean_batch(self, time_s: float) -> float:
        """How many samples workers of mean speed get through in a time, in the mean."""
        return sum(share * timing.samples(time_s * speed) for share, timing, speed in self._kinds)


def _mean_speed(model: StragglerModel, worker: int) -> float:
    mean = model.mean_speed_of(worker)
    return checked_mean(model, "mean_speed", mean) if is_own(model) else mean
