"""Dedicated links: each directed link is its own wire; nothing is shared.

A message takes latency_s + size_bits / bandwidth_bps. Messages on the *same* link go one after
another, each occupying it for size_bits / bandwidth_bps, since no wire carries more than its
bandwidth; different links never slow each other down.
"""

from collections.abc import Sequence
from math import inf
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from desim.clock.links.base import Link, LinkModel, Passage
from desim.registry import Table
from desim.streams import Streams

Latency = Annotated[float, Field(ge=0)]
Bandwidth = Annotated[float, Field(gt=0, allow_inf_nan=True)]


class LatencyRange(Table):
    """A latency drawn once per directed link, uniformly from [low, high] seconds."""

    low: Latency
    high: Latency


class BandwidthRange(Table):
    """A bandwidth drawn once per directed link, uniformly from [low, high] bit/s."""

    low: Bandwidth
    high: Bandwidth


class DedicatedLink(Link):
    """Wires of their own with a latency and a bandwidth."""

    __slots__ = ("_free_s", "latency_s", "seconds_per_bit")

    def __init__(
        self, source: int, targets: Sequence[int], latency_s: float, bandwidth_bps: float
    ) -> None:
        super().__init__(source, targets)
        self.latency_s = latency_s
        self.seconds_per_bit = 1.0 / bandwidth_bps
        self._free_s = 0.0

    def carry(self, now_s: float, size_bits: int) -> Passage:
        """Sends as soon as the wire is free."""
        departs_s = self._free_s if self._free_s > now_s else now_s
        left_s = self._free_s = departs_s + size_bits * self.seconds_per_bit
        return departs_s, left_s, left_s + self.latency_s

    def free_at(self) -> float:
        """When the last message taken has left."""
        return self._free_s


class Dedicated(LinkModel):
    """latency_s + size_bits / bandwidth_bps on every directed link, no contention between links.

    Attributes:
        latency_s: seconds, or {low, high} to draw each link's own once per seed.
        bandwidth_bps: bit/s (inf for an infinitely fast wire), or {low, high} likewise.
    """

    kind: ClassVar[str] = "dedicated"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"bandwidth_bps": 1e6},
        {"bandwidth_bps": {"low": 1e5, "high": 1e6}, "latency_s": {"low": 0.001, "high": 0.1}},
    )

    bandwidth_bps: Bandwidth | BandwidthRange
    latency_s: Latency | LatencyRange = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for key in ("latency_s", "bandwidth_bps"):
            low, high = _ends(getattr(self, key))
            if high < low or (low < high == inf):
                raise ValueError(
                    f"{key} = {{low = {low:g}, high = {high:g}}}: must be finite, and "
                    "high at least low"
                )
        return self

    def build(self, source: int, targets: Sequence[int], streams: Streams) -> list[Link]:
        """The links; latencies and bandwidths that differ are drawn from the stream "link"."""
        latency, bandwidth = _ends(self.latency_s), _ends(self.bandwidth_bps)
        if latency[0] == latency[1] and bandwidth[0] == bandwidth[1]:
            return [DedicatedLink(source, targets, latency[0], bandwidth[0])]
        draws = streams.uniforms("link", source, np.array(targets)[:, None], np.arange(2))
        return [
            DedicatedLink(
                source,
                [target],
                latency[0] + (latency[1] - latency[0]) * u,
                bandwidth[0] + (bandwidth[1] - bandwidth[0]) * v if bandwidth[1] < inf else inf,
            )
            for target, (u, v) in zip(targets, draws.tolist(), strict=True)
        ]

    def times_s(self, size_bits: int) -> tuple[float, float]:
        """From the best to the worst link that can be drawn."""
        latency, bandwidth = _ends(self.latency_s), _ends(self.bandwidth_bps)
        return latency[0] + size_bits / bandwidth[1], latency[1] + size_bits / bandwidth[0]


def _ends(value: float | LatencyRange | BandwidthRange) -> tuple[float, float]:
    return (value, value) if isinstance(value, float | int) else (value.low, value.high)
