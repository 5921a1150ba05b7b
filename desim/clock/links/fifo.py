"""FIFO: a worker's messages leave one after another through its network card.

A broadcast to d neighbours occupies the card for d transmissions, in the order of the neighbours'
numbers; each goes at the least bandwidth on its path: the sender's up link's, the link's, the
receiver's down link's. What comes in doesn't queue. With one link, Poisson arrivals and exponential
sizes it is the queue M/M/1.
"""

from typing import Any, ClassVar

from desim.clock.links._wired import Wired
from desim.clock.links.base import Deployment, Link, Wire
from desim.clock.links.dedicated import Cable


class Fifo(Wired):
    """A worker's messages leave one after another; what it receives doesn't slow it down."""

    kind: ClassVar[str] = "fifo"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"up_bps": 1e6, "latency_s": 0.01},
        {"profile": "mobile-4g"},
    )

    def build(self, deployment: Deployment) -> list[list[Link]]:
        """The links; those of one worker share a wire."""
        built: list[list[Link]] = []
        for source, paths in enumerate(self.paths(deployment)):
            card = Wire()
            built.append([Cable.along(source, path, card) for path in paths])
        return built
