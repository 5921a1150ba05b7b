"""A network in which a message's fate isn't always known when it is sent.

Flows that share bandwidth, lost messages and faults need events of their own. A message that is
lost is sent again after a timeout, for as long as its two ends may still come back (tries in vain
while one is away or the link is down are not counted); what was handed over goes out even if its
sender crashes.
"""

from array import array
from collections.abc import Callable, Hashable, Iterator, Sequence
from heapq import heappop, heappush
from math import ceil, inf, isinf
from typing import Any, cast

import simpy

from desim.clock.faults import FaultSchedule
from desim.clock.links._wired import draws
from desim.clock.links.base import End, Gathering, Link, Wire
from desim.clock.network import Network, Process
from desim.clock.timeline import Timeline
from desim.clock.wake import Wake
from desim.errors import SimulationError
from desim.streams import Streams

#: A trial is given up when so many messages per link, that would have arrived but for the links'
#: own losses, have been lost without a step.
_LOSSES_WITHOUT_A_STEP = 100


class _Transfer:
    """A message on its way to some neighbours.

    Attributes:
        source, message, bits, step: what is sent.
        tagged: whether it goes into the mailboxes, under the tag `step`.
        direct: whether it goes into the mailbox of one neighbour, under `tag`.
        number: which of its sender's messages it is; the newest has the largest.
        open: how many neighbours have neither received it nor been given up.
        done_s: when the last of the others received it.
        waiter: happens when all have.
    """

    __slots__ = (
        "bits",
        "direct",
        "done_s",
        "message",
        "number",
        "open",
        "source",
        "step",
        "tag",
        "tagged",
        "waiter",
    )

    def __init__(
        self, source: int, message: Any, bits: int, step: int, number: int, tagged: bool, ends: int
    ) -> None:
        self.source, self.message, self.bits, self.step = source, message, bits, step
        self.number, self.tagged, self.open = number, tagged, ends
        self.done_s = 0.0
        self.waiter: Wake | None = None
        self.direct, self.tag = False, cast(Hashable, None)


class _Newest:
    """What a worker has of one neighbour: the newest message, and those on their way."""

    __slots__ = ("coming", "newest", "number")

    def __init__(self) -> None:
        self.newest: Any = None
        self.number = -1
        self.coming: list[tuple[float, int, Any]] = []

    def land(self, now_s: float) -> None:
        """Keeps only the newest of those that have arrived."""
        while self.coming and self.coming[0][0] <= now_s:
            _, number, message = heappop(self.coming)
            if number > self.number:
                self.number, self.newest = number, message


class EventfulNetwork(Network):
    """All directed links of a graph, where messages share bandwidth, are lost or come too late.

    Args:
        env, neighbours, timeline: as for `Network`.
        links: each worker's directed links, one object per wire.
        losses: the probability that a message is lost, and after how long it is sent again, in s.
        faults: when workers and links are down.
        streams: for the losses.
        skips: whether workers go on without a message that doesn't come, so that it is worthless
            once its sender has sent a newer one.
        give_up: called with the number of transmissions lost in a row when there are absurdly many.

    Attributes:
        handed_over, delivered, given_up: messages, one for each neighbour that they are meant for.
    """

    def __init__(
        self,
        env: simpy.Environment,
        neighbours: Sequence[Sequence[int]],
        links: list[list[Link]],
        timeline: Timeline,
        losses: tuple[float, float],
        faults: FaultSchedule,
        streams: Streams,
        skips: bool,
        give_up: Callable[[int], None],
    ) -> None:
        super().__init__(env, neighbours, links, timeline)
        self._skips, self._give_up = skips, give_up
        self._loss, self._resend_s = losses
        self._most_lost = _LOSSES_WITHOUT_A_STEP * sum(self._degrees) / (1 - self._loss)
        self._faults, self._streams = faults, streams
        self._draws: dict[tuple[int, int], Iterator[float]] = {}
        self._newest = [[_Newest() for _ in row] for row in neighbours]
        self._out_degrees = [sum(len(link.ends) for link in row) for row in links]
        #: The oldest tag that each worker may gather (again); messages under older ones are late.
        self._gathering = [-1] * len(neighbours)
        self._numbers = [0] * len(neighbours)
        self.handed_over = self.delivered = self.given_up = 0

    def broadcast(self, source: int, message: Any, bits: int, step: int) -> None:
        """Sends to all neighbours under the tag `step`."""
        transfer = self._transfer(source, message, bits, step, tagged=True)
        for link in self._out[source]:
            self._transmit(transfer, link, link.ends, self._env.now)

    def tell(
        self, source: int, target: int, message: Any, bits: int, step: int, tag: Hashable
    ) -> None:
        """Sends to one neighbour, in whose mailbox it lies under the tag when it arrives."""
        link, end = self._link_to(source, target)
        transfer = self._transfer(source, message, bits, step, tagged=False, ends=1)
        transfer.direct, transfer.tag = True, tag
        self._transmit(transfer, link, [end], self._env.now)

    def _transfer(
        self,
        source: int,
        message: Any,
        bits: int,
        step: int,
        *,
        tagged: bool,
        ends: int | None = None,
    ) -> _Transfer:
        ends = self._out_degrees[source] if ends is None else ends
        self.handed_over += ends
        self._numbers[source] += 1
        return _Transfer(source, message, bits, step, self._numbers[source], tagged, ends)

    def _transmit(self, transfer: _Transfer, link: Link, ends: list[End], now_s: float) -> None:
        if self._closed:
            return
        source = link.source
        # One that is sent again goes to a single neighbour.
        bits = transfer.bits * (link.copies if ends is link.ends else 1)
        self.bits_sent += bits

        def passed(passage: tuple[float, float, float]) -> None:
            for end in ends:
                self._reach(transfer, link, end, passage)
            self._timeline.send(source, passage[0], passage[1], transfer.step, bits)
            self._settle(link.wire, self._env.now)

        link.send(now_s, bits, passed)

    def _reach(
        self, transfer: _Transfer, link: Link, end: End, passage: tuple[float, float, float]
    ) -> None:
        """A transmission has come to a neighbour, or not."""
        departs_s, left_s, arrives_s = passage
        source, target = link.source, end.target
        between, receiver = self._faults.link(source, target), self._faults.worker(target)
        # Drawn in any case: the next transmission has the same draw with and without faults.
        lost = self._loss > 0 and self._drawn(source, target) < self._loss
        down = receiver.between(arrives_s, arrives_s) or between.between(departs_s, arrives_s)
        if not (lost or down):
            self._timeline.receive(
                array("i", [target]), source, departs_s, arrives_s, transfer.step, transfer.bits
            )
            self._deliver(transfer, end, arrives_s)
            return
        self._timeline.drop(target, source, departs_s, arrives_s, transfer.step, transfer.bits)
        self.lost_in_a_row += 1
        if self.lost_in_a_row > self._most_lost:
            self._give_up(self.lost_in_a_row)
        again_s = left_s + self._resend_s
        up_s = max(
            outages.up_s(again_s) for outages in (between, receiver, self._faults.worker(source))
        )
        if isinf(up_s):
            self._close(transfer, 0.0)
            self.given_up += 1
            return
        again_s += ceil((up_s - again_s) / self._resend_s) * self._resend_s
        self._at(again_s, lambda: self._again(transfer, link, end))

    def _again(self, transfer: _Transfer, link: Link, end: End) -> None:
        worthless = not transfer.direct and (self._skips or not transfer.tagged)
        if worthless and transfer.number < self._numbers[link.source]:
            self.given_up += 1  # there is a newer model
            self._close(transfer, 0.0)
            return
        self._transmit(transfer, link, [end], self._env.now)

    def _at(self, time_s: float, action: Callable[[], None]) -> None:
        event = Wake(self._env)
        assert event.callbacks is not None
        event.callbacks.append(lambda _: action())
        event.succeed_in(max(0.0, time_s - self._env.now))

    def _drawn(self, source: int, target: int) -> float:
        key = (source, target)
        if key not in self._draws:
            self._draws[key] = draws(self._streams, source, target, 3)
        return next(self._draws[key])

    def _deliver(self, transfer: _Transfer, end: End, arrives_s: float) -> None:
        self.delivered += 1
        self._close(transfer, arrives_s)
        if transfer.direct:
            arrive = self.mailboxes[end.target].arrive
            self._at(arrives_s, lambda: arrive(transfer.source, transfer.tag, transfer.message))
            return
        if not transfer.tagged:
            known = self._newest[end.target][end.place]
            known.land(self._env.now)
            heappush(known.coming, (arrives_s, transfer.number, transfer.message))
            return
        if transfer.step < self._gathering[end.target]:
            return  # nobody asks for it any more
        box = end.boxes.get(transfer.step)
        if box is None:
            box = end.boxes[transfer.step] = Gathering(end.degree)
        arrivals = box.arrivals = box.arrivals or {}
        if end.place in arrivals:
            return  # sent once more by a worker that came back
        box.messages[end.place], arrivals[end.place] = transfer.message, arrives_s
        box.complete_s = max(box.complete_s, arrives_s)
        box.missing -= 1
        if not box.missing and box.waiter is not None:
            box.waiter.succeed_in(max(0.0, box.complete_s - self._env.now))

    def _close(self, transfer: _Transfer, arrives_s: float) -> None:
        transfer.done_s = max(transfer.done_s, arrives_s)
        transfer.open -= 1
        if not transfer.open and transfer.waiter is not None:
            transfer.waiter.succeed_in(max(0.0, transfer.done_s - self._env.now))

    def gather(
        self, target: int, step: int, timeout_s: float = inf, again_from: int | None = None
    ) -> Process:
        """Waits for the messages of all neighbours under the tag `step`, in neighbour order.

        What has been gathered from the tag `again_from` on stays, for a worker that crashes and
        begins its local step again.

        Raises:
            SimulationError: the tag is older than one that it has gathered before.
        """
        boxes = self._gatherings[target]
        if step < self._gathering[target]:
            raise SimulationError(
                f"worker {target} gathers tag {step} after tag {self._gathering[target]}: a method "
                "whose workers may crash is restarted then; take the tags from me.rounds()"
            )
        oldest = self._gathering[target] = step if again_from is None else again_from
        for tag in [tag for tag in boxes if tag < oldest]:
            del boxes[tag]
        box = boxes.get(step)
        if box is None:
            box = boxes[step] = Gathering(self._degrees[target])
        if box.missing:
            box.waiter = Wake(self._env)
            yield from self._until(box.waiter, timeout_s)
            box.waiter = None
        elif box.complete_s > self._env.now:
            yield self._env.timeout(min(timeout_s, box.complete_s - self._env.now))
        # The clock adds delays up and may be a rounding error before an arrival.
        now_s, arrivals = self._env.now * (1 + 1e-15), box.arrivals or {}
        return [
            message if arrivals.get(place, inf) <= now_s else None
            for place, message in enumerate(box.messages)
        ]

    def _until(self, event: simpy.Event, timeout_s: float) -> Process:
        yield event if isinf(timeout_s) else event | self._env.timeout(timeout_s)

    def start_with(self, source: int, message: Any) -> None:
        """What the neighbours of `source` know of it before anything has arrived."""
        super().start_with(source, message)
        for link in self._out[source]:
            for end in link.ends:
                self._newest[end.target][end.place].newest = message

    def send(
        self, source: int, message: Any, bits: int, step: int, timeout_s: float = inf
    ) -> Process:
        """Sends to all neighbours, who read the newest; waits until all have received it."""
        transfer = self._transfer(source, message, bits, step, tagged=False)
        for link in self._out[source]:
            link.posted = message
            self._transmit(transfer, link, link.ends, self._env.now)
        if transfer.open:
            transfer.waiter = Wake(self._env)
            yield from self._until(transfer.waiter, timeout_s)
        elif transfer.done_s > self._env.now:
            yield self._env.timeout(min(timeout_s, transfer.done_s - self._env.now))

    def post(self, source: int, message: Any, bits: int, step: int) -> None:
        """Sends to all neighbours, who read the newest message that has arrived.

        On a link whose wire is still busy it waits, and takes the place of one that waits already.
        """
        transfer = self._transfer(source, message, bits, step, tagged=False)
        now_s = self._env.now
        for link in self._out[source]:
            link.posted = message
            self._settle(link.wire, now_s)
            if link.wire.free_s <= now_s:
                self._transmit(transfer, link, link.ends, now_s)
            elif link.wait(transfer, bits, step):
                self.given_up += len(link.ends)  # the older one, which waited
            else:
                self._settle_when_free(link.wire)

    def newest(self, target: int, *, instant: bool) -> list[Any]:
        """The newest message of each neighbour, in neighbour order."""
        if instant:
            return super().newest(target, instant=True)
        rows = self._newest[target]
        for known in rows:
            known.land(self._env.now)
        return [known.newest for known in rows]

    def finish(self) -> None:
        """At the end of a trial: tells the timeline what is still under way."""
        super().finish()
        for links in self._out:
            for link in links:
                link.drain()

    def _settle(self, wire: Wire, now_s: float) -> None:
        while wire.waiting and wire.free_s <= now_s and not self._closed:
            link = wire.waiting.popleft()
            assert link.waiting is not None
            transfer = link.waiting[0]
            link.waiting = None
            self._transmit(transfer, link, link.ends, now_s)
        if wire.waiting:
            self._settle_when_free(wire)

    def _settle_when_free(self, wire: Wire) -> None:
        """Sends what waits as soon as the wire is free; a shared flow's end tells by itself."""
        if wire.settling or isinf(wire.free_s):
            return
        wire.settling = True

        def settle() -> None:
            wire.settling = False
            self._settle(wire, self._env.now)

        self._at(wire.free_s, settle)

    def settle(self) -> None:
        """Nothing to do: events see to it."""
