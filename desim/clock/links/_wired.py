"""What cables have in common: latency, bandwidth, jitter and loss, from a profile or one's own.

Link models differ in how concurrent messages share all this.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from math import inf, log1p
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from desim.clock.links.base import Deployment, LinkModel
from desim.clock.regions import Bandwidth, Latency, Regions
from desim.errors import ScenarioError
from desim.schema import profiles
from desim.schema.profiled import Profiled
from desim.schema.registry import Table
from desim.schema.tables import NumberTable
from desim.streams import Streams


class LatencyRange(Table):
    """A latency drawn once per directed link, uniformly from [low, high] seconds."""

    low: Latency
    high: Latency


class BandwidthRange(Table):
    """A bandwidth drawn once per directed link or worker, uniformly from [low, high] bit/s."""

    low: Bandwidth
    high: Bandwidth


class LinkFile(Table):
    """Directed links with properties of their own.

    Attributes:
        file: CSV or parquet with the columns source, target, latency_s and bandwidth_bps; links
            that it doesn't name are as the other fields say.
    """

    file: str

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        _ = self.links
        return self

    @cached_property
    def links(self) -> dict[tuple[int, int], tuple[float, float]]:
        """(latency_s, bandwidth_bps) by (source, target).

        Raises:
            ValueError: the file breaks a rule; one line with file and row.
        """
        table = NumberTable(self.file, ["source", "target"], ["latency_s", "bandwidth_bps"])
        columns = table.columns
        table.refuse(columns["latency_s"] < 0, "latency_s", "must not be negative")
        table.refuse(columns["bandwidth_bps"] <= 0, "bandwidth_bps", "must be positive")
        table.refuse(columns["source"] == columns["target"], "target", "must not be the source")
        found: dict[tuple[int, int], tuple[float, float]] = {}
        for row, (source, target, *values) in enumerate(zip(*columns.values(), strict=True)):
            pair = int(source), int(target)
            if pair in found:
                raise table.error(row, f"link {pair[0]} -> {pair[1]}: must be there once only")
            found[pair] = (float(values[0]), float(values[1]))
        return found


class Jitter:
    """Random delays of one link's messages, that don't let them overtake each other.

    Args:
        mean_s: the delays' mean, exponentially distributed.
        coming: uniform numbers.
    """

    __slots__ = ("_coming", "_last_s", "_mean_s")

    def __init__(self, mean_s: float, coming: Iterator[float]) -> None:
        self._mean_s, self._last_s, self._coming = mean_s, 0.0, coming

    def arrival_s(self, arrives_s: float) -> float:
        """When a message arrives that would do so at arrives_s without jitter."""
        late_s = -self._mean_s * log1p(-next(self._coming))
        self._last_s = max(self._last_s, arrives_s + late_s)
        return self._last_s


class Path(NamedTuple):
    """From one worker to another.

    Attributes:
        target: the receiver.
        latency_s: of the link.
        bandwidth_bps: of the link alone.
        slowest_bps: the least of that, the sender's up link and the receiver's down link.
        jitter: random delays, or None.
    """

    target: int
    latency_s: float
    bandwidth_bps: float
    slowest_bps: float
    jitter: Jitter | None


class Wired(Profiled, LinkModel):
    """Cables.

    Attributes:
        profile: one of `desim list networks`, for the fields below that are left out.
        file: a profile of your own, a TOML file with some of them.
        latency_s: seconds, or {low, high} to draw each directed link's own once per seed.
        bandwidth_bps: of each directed link, bit/s (inf: infinitely fast), or {low, high}.
        up_bps, down_bps: of each worker's access link, for all that it sends and receives, bit/s or
            {low, high}; a worker's hardware may have its own.
        regions: where workers are, which gives latencies and bandwidths of links.
        links: {file}: directed links with properties of their own.
        jitter_s: the mean of an exponential delay on top of each message's latency; messages on
            one link don't overtake each other.
        loss: the probability that a message is lost.
        resend_after_s: a lost message is sent again after so long. The default is TCP's first
            timeout (RFC 6298).
    """

    profiles_of: ClassVar[profiles.Kind] = "network"

    latency_s: Latency | LatencyRange | None = None
    bandwidth_bps: Bandwidth | BandwidthRange | None = None
    up_bps: Bandwidth | BandwidthRange | None = None
    down_bps: Bandwidth | BandwidthRange | None = None
    regions: Regions | None = None
    links: LinkFile | None = None
    jitter_s: Annotated[float, Field(ge=0)] | None = None
    loss: Annotated[float, Field(ge=0, lt=1)] | None = None
    resend_after_s: Annotated[float, Field(gt=0)] | None = None

    #: One of these must be given: a network that takes no time must be asked for.
    speeds: ClassVar[tuple[str, ...]] = ("bandwidth_bps", "up_bps", "down_bps", "regions", "links")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for key in ("latency_s", "bandwidth_bps", "up_bps", "down_bps"):
            low, high = _ends(getattr(self, key), 0.0)
            if high < low or (low < high == inf):
                raise ValueError(
                    f"{key} = {{low = {low:g}, high = {high:g}}}: must be finite, and "
                    "high at least low"
                )
        whole = self.resolved()
        if all(getattr(whole, key) is None for key in self.speeds):
            raise ValueError(
                f"needs a profile (desim list networks) or one of {', '.join(self.speeds)}; "
                "bandwidth_bps = inf is a network that takes no time for a message's size"
            )
        return self

    def table(self) -> dict[str, Any]:
        """The numbers themselves, so that results don't change with the profiles."""
        return super(Wired, self.resolved()).table()

    def losses(self) -> tuple[float, float]:
        """The fields `loss` and `resend_after_s`."""
        whole = self.resolved()
        return whole.loss or 0.0, whole.resend_after_s or 1.0

    def check(self, targets: Sequence[Sequence[int]]) -> None:
        """Refuses `links` that the graph doesn't have, and links without any properties."""
        whole = self.resolved()
        if whole.links is None:
            return
        key, named = f"network.link.links.file = {whole.links.file!r}", whole.links.links
        there = {(source, target) for source, row in enumerate(targets) for target in row}
        for source, target in named:
            if (source, target) not in there:
                raise ScenarioError(
                    f"{key}: names the link {source} -> {target}, which the topology doesn't have"
                )
        others = [speed for speed in self.speeds if speed != "links"]
        if any(getattr(whole, speed) is not None for speed in others):
            return
        for source, target in sorted(there - named.keys()):
            raise ScenarioError(
                f"{key}: doesn't name the link {source} -> {target}; must name all, or give one of "
                f"{', '.join(others)} for the others"
            )

    def access_bps(self, deployment: Deployment) -> tuple[list[float], list[float]]:
        """The up and down links' bandwidths of all workers."""
        workers = np.arange(len(deployment.targets))
        # Below 2^32 are the links' draws, named by their targets.
        uniforms = deployment.streams.uniforms("link", workers[:, None], 2**32, np.arange(2))
        up, down = (
            [
                _drawn(value, u, inf) if own is None else own
                for own, u in zip(owns, column.tolist(), strict=True)
            ]
            for value, owns, column in (
                (self.up_bps, deployment.up_bps, uniforms[:, 0]),
                (self.down_bps, deployment.down_bps, uniforms[:, 1]),
            )
        )
        return up, down

    def paths(self, deployment: Deployment) -> Iterator[list[Path]]:
        """For each worker the paths to those that it sends to."""
        whole = self.resolved()
        up, down = whole.access_bps(deployment)
        for source, row in enumerate(deployment.targets):
            yield [
                Path(
                    target,
                    latency_s,
                    rate_bps,
                    min(rate_bps, up[source], down[target]),
                    Jitter(whole.jitter_s, draws(deployment.streams, source, target, 2))
                    if whole.jitter_s
                    else None,
                )
                for target, latency_s, rate_bps in whole._links(deployment, source, row)
            ]

    def _links(
        self, deployment: Deployment, source: int, targets: Sequence[int]
    ) -> Iterator[tuple[int, float, float]]:
        """(target, latency_s, bandwidth_bps) of one worker's links."""
        ends = _ends(self.latency_s, 0.0), _ends(self.bandwidth_bps, inf)
        drawn = any(low < high for low, high in ends)
        if not drawn and self.regions is None and self.links is None:
            for target in targets:
                yield target, ends[0][0], ends[1][0]
            return
        uniforms = [[0.0, 0.0]] * len(targets)
        if drawn:
            names = np.array(targets)[:, None]
            uniforms = deployment.streams.uniforms("link", source, names, np.arange(2)).tolist()
        for target, (u, v) in zip(targets, uniforms, strict=True):
            latency_s = _drawn(self.latency_s, u, 0.0)
            rate_bps = _drawn(self.bandwidth_bps, v, inf)
            if self.regions is not None:
                far_s, far_bps = self.regions.between(
                    self.regions.of(source), self.regions.of(target)
                )
                latency_s, rate_bps = latency_s + far_s, min(rate_bps, far_bps)
            if self.links is not None:
                own = self.links.links.get((source, target))
                latency_s, rate_bps = own or (latency_s, rate_bps)
            yield target, latency_s, rate_bps

    def times_s(self, deployment: Deployment, size_bits: int) -> tuple[float, float]:
        """Over all links: latency + size / the least bandwidth on the path."""
        times = {
            path.latency_s + size_bits / path.slowest_bps
            for row in self.paths(deployment)
            for path in row
        }
        return min(times), max(times)


def draws(streams: Streams, source: int, target: int, purpose: int) -> Iterator[float]:
    """Uniform numbers for one link's messages, one after another.

    Args:
        streams: of the trial.
        source, target: name the link.
        purpose: 2 for jitter, 3 for losses; 0 and 1 are the link's own latency and bandwidth.
    """
    start = 0
    while True:
        # Every fourth, so that purposes don't share a draw.
        names = purpose + 4 * np.arange(start, start + 64)
        yield from streams.uniforms("link", source, target, names).tolist()
        start += 64


def _ends(
    value: float | LatencyRange | BandwidthRange | None, default: float
) -> tuple[float, float]:
    if value is None:
        return default, default
    return (value, value) if isinstance(value, float | int) else (value.low, value.high)


def _drawn(value: float | LatencyRange | BandwidthRange | None, u: float, default: float) -> float:
    low, high = _ends(value, default)
    return low if low == high else low + (high - low) * u
