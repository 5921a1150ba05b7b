"""Dedicated links: each directed link is its own wire; nothing is shared.

A message takes latency + size / bandwidth, with the least bandwidth on its path: the link's, the
sender's up link's, the receiver's down link's. Messages on the *same* link go one after another,
each occupying it for size / bandwidth, since no wire carries more than its bandwidth; different
links never slow each other down.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from desim.clock.links._wired import Jitter, Path, Wired
from desim.clock.links.base import Deployment, Link, TransitTimes, Wire


class Cable(Link):
    """A latency and a bandwidth, on a wire that may be shared."""

    __slots__ = ("jitter", "latency_s", "seconds_per_bit")

    def __init__(
        self,
        source: int,
        targets: Sequence[int],
        latency_s: float,
        bandwidth_bps: float,
        wire: Wire | None = None,
        *,
        copies: int | None = None,
    ) -> None:
        super().__init__(
            source, targets, wire or Wire(), len(targets) if copies is None else copies
        )
        self.latency_s, self.seconds_per_bit = latency_s, 1.0 / bandwidth_bps
        self.jitter: Jitter | None = None

    @classmethod
    def along(cls, source: int, path: Path, wire: Wire | None = None) -> "Cable":
        """The cable from one worker to another, on a wire of its own or a shared one."""
        cable = cls(source, [path.target], path.latency_s, path.slowest_bps, wire)
        cable.jitter = path.jitter
        return cable

    def split(self) -> list[Link]:
        """One cable for each target, unless all share the wire."""
        if self.copies == 1:
            return [self]
        parts: list[Link] = []
        for end in self.ends:
            part = Cable(self.source, [end.target], self.latency_s, 1.0, copies=1)
            part.seconds_per_bit, part.wire.free_s = self.seconds_per_bit, self.wire.free_s
            part.ends, part.newest, part.posted = [end], self.newest, self.posted
            part.flying = self.flying and self.flying.copy()
            if self.waiting is not None:
                part.wait(*self.waiting)
            parts.append(part)
        return parts

    def carry(self, now_s: float, size_bits: int) -> TransitTimes:
        """Sends as soon as the wire is free."""
        wire = self.wire
        departs_s = wire.free_s if wire.free_s > now_s else now_s
        left_s = wire.free_s = departs_s + size_bits * self.seconds_per_bit
        if self.jitter is None:
            return departs_s, left_s, left_s + self.latency_s
        return departs_s, left_s, self.jitter.arrival_s(left_s + self.latency_s)


class Dedicated(Wired):
    """latency + size / bandwidth on every directed link, no contention between links."""

    kind: ClassVar[str] = "dedicated"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"bandwidth_bps": 1e6},
        {"bandwidth_bps": {"low": 1e5, "high": 1e6}, "latency_s": {"low": 0.001, "high": 0.1}},
        {"profile": "edge", "jitter_s": 0.01},
    )

    def build(self, deployment: Deployment) -> list[list[Link]]:
        """The links; equal ones of a worker are one object."""
        built: list[list[Link]] = []
        for source, paths in enumerate(self.paths(deployment)):
            alike = len({(path.latency_s, path.slowest_bps) for path in paths}) == 1
            if alike and paths[0].jitter is None and not deployment.apart:
                row = deployment.targets[source]
                built.append([Cable(source, row, paths[0].latency_s, paths[0].slowest_bps)])
            else:
                built.append([Cable.along(source, path) for path in paths])
        return built
