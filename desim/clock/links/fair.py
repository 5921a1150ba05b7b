"""Fair sharing: concurrent messages share access links max-min fairly, as TCP flows roughly do.

A message occupies its sender's up link and its receiver's down link. A link with a bandwidth of its
own carries one message at a time, at no more than that; without one, messages to the same receiver
are flows beside each other. The rates of all flows are the max-min fair ones
(desim/clock/max_min.py) and change whenever one starts or ends. The latency is paid once, before
the first bit; until then a message occupies nothing. That is the network of an ideal switch;
`backbone_bps` limits all flows together.
SimGrid's model CM02 without a TCP window gives the same times.
"""

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from typing import Any, ClassVar

import simpy

from desim.clock.links._wired import Path, Wired
from desim.clock.links.base import Deployment, Link, TransitTimes, Wire
from desim.clock.max_min import MaxMin
from desim.clock.regions import Bandwidth
from desim.clock.wake import Wake


class Fair(Wired):
    """Flows share up and down links max-min fairly, again whenever one starts or ends.

    Attributes:
        backbone_bps: what all flows together can use: a switch's backplane, say.
    """

    kind: ClassVar[str] = "fair"
    known: ClassVar[bool] = False
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"up_bps": 1e6, "down_bps": 1e6, "latency_s": 0.01},
        {"profile": "edge", "backbone_bps": 1e9},
    )

    speeds: ClassVar[tuple[str, ...]] = (*Wired.speeds, "backbone_bps")

    backbone_bps: Bandwidth | None = None

    def build(self, deployment: Deployment) -> list[list[Link]]:
        """The links; all share one set of flows."""
        whole = self.resolved()
        flows = Flows(deployment.env, *whole.access_bps(deployment), whole.backbone_bps or inf)
        return [
            [FairLink(source, path, flows) for path in paths]
            for source, paths in enumerate(whole.paths(deployment))
        ]

    def times_s(self, deployment: Deployment, size_bits: int) -> tuple[float, float]:
        """Over all links, each with the network to itself."""
        backbone_bps = self.resolved().backbone_bps or inf
        times = {
            path.latency_s + size_bits / min(path.slowest_bps, backbone_bps)
            for row in self.paths(deployment)
            for path in row
        }
        return min(times), max(times)


class FairLink(Link):
    """The way from one worker to another through the shared network."""

    __slots__ = ("_flows", "_path", "_queue", "_under_way")

    def __init__(self, source: int, path: Path, flows: "Flows") -> None:
        super().__init__(source, [path.target], Wire(), 1)
        self._path = path
        self._flows, self._under_way = flows, 0
        # Messages that wait for the link, where it carries one at a time.
        self._queue: deque[tuple[int, Callable[[TransitTimes], None]]] = deque()

    def send(self, now_s: float, size_bits: int, then: Callable[[TransitTimes], None]) -> None:
        """Starts a flow; its last bit leaves and arrives at once, the latency lies before it."""
        self.wire.free_s = inf
        if self._under_way and self._path.bandwidth_bps < inf:
            self._queue.append((size_bits, then))
        else:
            self._start(now_s, size_bits, then)

    def _start(self, now_s: float, size_bits: int, then: Callable[[TransitTimes], None]) -> None:
        starts_s = now_s + self._path.latency_s
        if self._path.jitter is not None:
            starts_s = self._path.jitter.arrival_s(starts_s)

        def ended(end_s: float) -> None:
            self._under_way -= 1
            if self._queue:
                self._start(end_s, *self._queue.popleft())
            elif not self._under_way:
                self.wire.free_s = end_s
            then((now_s, end_s, end_s))

        self._under_way += 1
        self._flows.start(self.source, self._path, starts_s, size_bits, ended)

    def drain(self) -> None:
        """Ends all flows as if no other began."""
        self._flows.drain()


Ended = Callable[[float], None]


class Flows:
    """All messages under way, on the clock.

    Args:
        env: the clock.
        up_bps, down_bps: the workers' access links.
        backbone_bps: what all flows share.
    """

    def __init__(
        self,
        env: simpy.Environment,
        up_bps: list[float],
        down_bps: list[float],
        backbone_bps: float,
    ) -> None:
        self._env = env
        self._sharing: MaxMin[Ended] = MaxMin(up_bps, down_bps, backbone_bps)
        #: The time of the event that looks at the flows next.
        self._look_s = inf
        #: Messages that pay their latency and have no flow yet: (start, serial number, begin).
        self._starting: list[tuple[float, int, Callable[[], None]]] = []
        self._started = 0
        self._now_s = 0.0

    def start(self, source: int, path: Path, starts_s: float, size_bits: int, ended: Ended) -> None:
        """A flow that starts at a time; `ended` is told when its last bit has arrived."""

        def begin() -> None:
            self._sharing.add(ended, source, path.target, size_bits, path.bandwidth_bps)

        self._started += 1
        heappush(self._starting, (starts_s, self._started, begin))
        self._look_at(starts_s)

    def _look_at(self, time_s: float) -> None:
        """Looks at the flows at a time, unless that will be done before it anyway."""
        if time_s >= self._look_s:
            return
        self._look_s = time_s
        event = Wake(self._env)

        def look(_event: simpy.Event) -> None:
            if self._look_s == time_s:  # else another one has come in between
                self._look_s = inf
                self._look(time_s)
                self._look_at(self._next_s())

        assert event.callbacks is not None
        event.callbacks.append(look)
        event.succeed_in(max(0.0, time_s - self._env.now))

    def _look(self, now_s: float) -> None:
        """Ends the flows that have ended by now, and begins those that begin."""
        # The clock adds delays up and may be a rounding error before or behind.
        now_s = self._now_s = max(now_s, self._now_s, self._env.now)
        for ended in self._sharing.advance(now_s):
            ended(now_s)
        while self._starting and self._starting[0][0] <= now_s:
            heappop(self._starting)[2]()

    def _next_s(self) -> float:
        begins_s = self._starting[0][0] if self._starting else inf
        return min(begins_s, self._sharing.next_finish_s())

    def drain(self) -> None:
        """Goes on until all flows have ended."""
        while (time_s := self._next_s()) < inf:
            self._look(time_s)
