"""What a worker's machine is, and how long it takes for a gradient.

A gradient over `batch` samples takes, at speed 1,

    overhead_s + operators operator_s
        + max((fixed flops + batch flops) / (efficiency peak), (fixed bytes + batch bytes) / memory)

the roofline of Williams, Waterman, Patterson 2009 ('Roofline: an insightful visual performance
model'), with the operations, bytes and operators of the scenario's own model; or, for a machine
whose speed is simply given or was measured, overhead_s + batch / speed_sps.
"""

from dataclasses import dataclass
from math import inf
from typing import Annotated, Any, ClassVar, Protocol, Self

from pydantic import Field, model_validator

from desim.clock.stragglers.base import StragglerModel
from desim.schema import profiles
from desim.schema.profiled import Profiled
from desim.schema.registry import Table

Positive = Annotated[float, Field(gt=0)]


class Cost(Protocol):
    """What a gradient of the scenario's model costs."""

    @property
    def flops_per_sample(self) -> float:
        """Floating-point operations."""

    @property
    def bytes_per_sample(self) -> float:
        """Bytes read and written for each sample."""

    @property
    def bytes_fixed(self) -> float:
        """Bytes read and written whatever the batch."""

    @property
    def operators(self) -> float:
        """Operators of the framework that are run."""

    @property
    def flops_fixed(self) -> float:
        """Floating-point operations whatever the batch."""


@dataclass(frozen=True)
class Timing:
    """How long a gradient takes on a machine, in seconds at speed 1.

    Attributes:
        overhead_s: for each gradient.
        compute_s: for each sample, of computing.
        memory_fixed_s, memory_s: for each gradient and for each sample, of memory traffic, which
            goes on at the same time.
        compute_fixed_s: for each gradient, of computing.
    """

    overhead_s: float
    compute_s: float
    memory_fixed_s: float = 0.0
    memory_s: float = 0.0
    compute_fixed_s: float = 0.0

    def seconds(self, batch: int) -> float:
        """The time for a gradient over so many samples."""
        computing_s = self.compute_fixed_s + batch * self.compute_s
        traffic_s = self.memory_fixed_s + batch * self.memory_s
        return self.overhead_s + max(computing_s, traffic_s)

    def samples(self, work_s: float) -> float:
        """How many samples fit into so many seconds; not rounded, and zero at least."""
        left_s = work_s - self.overhead_s
        if left_s < max(self.compute_fixed_s, self.memory_fixed_s):
            return 0.0
        computed = (left_s - self.compute_fixed_s) / self.compute_s if self.compute_s else inf
        moved = (left_s - self.memory_fixed_s) / self.memory_s if self.memory_s else inf
        return min(computed, moved)

    @property
    def speed_sps(self) -> float:
        """Samples per second in a large batch."""
        return 1 / max(self.compute_s, self.memory_s)


class Hardware(Profiled):
    """Machines of one kind: a profile, or numbers of one's own, or both, which then override it.

    Attributes:
        name: what it is called in reports; left out, the profile's name.
        profile: one of `desim list hardware`.
        file: a profile of your own, a TOML file with some of the keys below.
        count: how many workers have it; left out, all.
        speed_sps: samples/s, whatever the model; then the next four don't count.
        peak_flops_per_s: floating-point operations per second, in the model's precision.
        efficiency: the share of the peak that training reaches; left out, 1.
        memory_bytes_per_s: memory bandwidth in bytes/s.
        operator_s: seconds that the framework needs for each operator (a layer is some six of
            them), whatever its size: with small models it is all that counts.
        overhead_s: seconds that every gradient takes beside all that.
        stragglers: how the speed varies; left out, as the cluster's `stragglers` say.
        up_bps, down_bps: bandwidth of the worker's access link in bit/s; left out, as the
            network's `link` says.
    """

    profiles_of: ClassVar[profiles.Kind] = "hardware"
    own_only: ClassVar[tuple[str, ...]] = ("profile", "file", "count")

    name: str | None = None
    count: Annotated[int, Field(ge=1)] | None = None
    speed_sps: Positive | None = None
    peak_flops_per_s: Positive | None = None
    efficiency: Annotated[float, Field(gt=0, le=1)] | None = None
    memory_bytes_per_s: Positive | None = None
    operator_s: Annotated[float, Field(ge=0)] | None = None
    overhead_s: Annotated[float, Field(ge=0)] | None = None
    stragglers: StragglerModel | None = None
    up_bps: Positive | None = None
    down_bps: Positive | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        whole = self.resolved()
        if whole.speed_sps is None and (
            whole.peak_flops_per_s is None or whole.memory_bytes_per_s is None
        ):
            raise ValueError(
                "needs a profile (desim list hardware), speed_sps, or peak_flops_per_s and "
                "memory_bytes_per_s"
            )
        return self

    def merged(self, base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
        """A profile's numbers and those given here, which may be of another kind."""
        if "peak_flops_per_s" in own:
            base.pop("speed_sps", None)
        named = {"name": self.profile} if self.profile is not None else {}
        return named | base | own

    def table(self) -> dict[str, Any]:
        """The numbers themselves, so that results don't change with the profiles."""
        return Table.table(self.resolved())

    def timing(self, cost: Cost | None) -> Timing:
        """How long a gradient of a model takes.

        Args:
            cost: the model's; not needed where speed_sps is given.
        """
        whole = self.resolved()
        overhead_s = whole.overhead_s or 0.0
        if whole.speed_sps is not None:
            return Timing(overhead_s, 1 / whole.speed_sps)
        assert cost is not None
        assert whole.peak_flops_per_s is not None
        assert whole.memory_bytes_per_s is not None
        flops_per_s = whole.peak_flops_per_s * (whole.efficiency or 1.0)
        return Timing(
            overhead_s + cost.operators * (whole.operator_s or 0.0),
            cost.flops_per_sample / flops_per_s,
            cost.bytes_fixed / whole.memory_bytes_per_s,
            cost.bytes_per_sample / whole.memory_bytes_per_s,
            cost.flops_fixed / flops_per_s,
        )
