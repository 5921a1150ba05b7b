"""A shared medium, such as one radio channel or an old Ethernet cable: one message at a time.

All workers wait for each other's transmissions to end, first come, first served. All neighbours
hear a broadcast, so that it is sent, and its bits are counted, once.
"""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from desim.clock.links.base import Deployment, Link, LinkModel, Wire
from desim.clock.links.dedicated import Cable


class SharedMedium(LinkModel):
    """One transmission at a time in the whole network; a broadcast is one transmission.

    Access links of the workers' hardware don't count here.

    Attributes:
        bandwidth_bps: of the medium, bit/s.
        latency_s: seconds until the last bit has arrived everywhere.
        loss: the probability that a neighbour doesn't get a message, each for itself.
        resend_after_s: it is sent again after so long, to those who missed it.
    """

    kind: ClassVar[str] = "shared-medium"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"bandwidth_bps": 1e6, "latency_s": 0.001},)

    bandwidth_bps: Annotated[float, Field(gt=0)]
    latency_s: Annotated[float, Field(ge=0)] = 0.0
    loss: Annotated[float, Field(ge=0, lt=1)] = 0.0
    resend_after_s: Annotated[float, Field(gt=0)] = 1.0

    def build(self, deployment: Deployment) -> list[list[Link]]:
        """One link a worker, all on the same wire."""
        medium = Wire()
        return [
            [Cable(source, row, self.latency_s, self.bandwidth_bps, medium, copies=1)]
            for source, row in enumerate(deployment.targets)
        ]

    def losses(self) -> tuple[float, float]:
        """The fields `loss` and `resend_after_s`."""
        return self.loss, self.resend_after_s

    def times_s(self, deployment: Deployment, size_bits: int) -> tuple[float, float]:
        """The same for all."""
        time_s = self.latency_s + size_bits / self.bandwidth_bps
        return time_s, time_s
