"""The network: links between neighbours, mailboxes, and the two links_to to read them.

A message's arrival is known when it is sent, so it costs no event of its own: it lies in the
receiver's mailbox with its arrival time, and only a receiver that waits for the last one is woken.
"""

from array import array
from collections.abc import Generator, Hashable, Sequence
from math import inf
from typing import Any

import simpy

from desim.clock.links.base import End, Gathering, Link, TransitTimes, Wire
from desim.clock.mailbox import Mailbox
from desim.clock.timeline import Timeline
from desim.clock.wake import Wake
from desim.errors import SimulationError

Process = Generator[simpy.Event, Any, Any]


class Network:
    """All directed links of a graph, where nothing is lost and arrivals are known.

    Args:
        env: the clock.
        neighbours: for each worker those that it hears.
        links: each worker's directed links to those that hear it.
        timeline: where departures and arrivals are noted.

    Attributes:
        mailboxes: each worker's mailbox.
        bits_sent: bits handed to all links so far; messages that wait and may still be replaced
            don't count.
        sent_from_s, sent_until_s: from when until when each worker's own messages go out, the
            last that go without a break, in simulated seconds; 0 where that is unknown.
        lost_in_a_row: transmissions that were lost since somebody last set this to 0.
    """

    def __init__(
        self,
        env: simpy.Environment,
        neighbours: Sequence[Sequence[int]],
        links: list[list[Link]],
        timeline: Timeline,
    ) -> None:
        self._env, self._timeline = env, timeline
        self._neighbours = neighbours
        self.bits_sent = 0
        self.lost_in_a_row = 0
        self._closed = False
        self._degrees = [len(row) for row in neighbours]
        self._gatherings: list[dict[int, Gathering]] = [{} for _ in neighbours]
        self.sent_from_s = [0.0] * len(neighbours)
        self.sent_until_s = [0.0] * len(neighbours)
        self.mailboxes = [Mailbox(env) for _ in neighbours]
        self._out = links
        #: Of each worker the link to each target and its end there, for messages to one of them.
        self._links_to: list[dict[int, tuple[Link, End]] | None] = [None] * len(neighbours)
        self._in: list[list[Link]] = [[] for _ in neighbours]
        self._into: list[list[End]] = [[] for _ in neighbours]
        for row in links:  # sources ascend, so each receiver's list is in neighbour order
            for link in row:
                for target in link.targets:
                    place = len(self._in[target])
                    end = End(target, self._gatherings[target], place, self._degrees[target])
                    link.ends.append(end)
                    self._in[target].append(link)
                    self._into[target].append(end)

    def close(self) -> None:
        """The trial has ended: what a worker still sends at this instant isn't sent."""
        self.settle()
        self._closed = True

    def broadcast(self, source: int, message: Any, bits: int, step: int) -> None:
        """Sends to all neighbours under the tag `step`."""
        if self._closed:
            return
        now = last_left = self._env.now
        first, total = inf, 0
        for link in self._out[source]:
            departs, left, arrives = link.carry(now, bits)
            if departs < first:
                first = departs
            if left > last_left:
                last_left = left
            self._timeline.receive(link.targets, source, departs, arrives, step, bits)
            for _, boxes, place, degree in link.ends:
                box = boxes.get(step)
                if box is None:
                    box = boxes[step] = Gathering(degree)
                box.messages[place] = message
                if arrives > box.complete_s:
                    box.complete_s = arrives
                missing = box.missing = box.missing - 1
                if not missing and box.waiter is not None:
                    box.waiter.succeed_in(box.complete_s - now)
            total += bits * link.copies
        self.bits_sent += total
        self._goes_out(source, first, last_left)
        self._timeline.send(source, first, last_left, step, total)

    def _goes_out(self, source: int, departs_s: float, left_s: float) -> None:
        until_s = self.sent_until_s
        if departs_s > until_s[source]:
            self.sent_from_s[source] = departs_s
        if left_s > until_s[source]:
            until_s[source] = left_s

    def gather(
        self, target: int, step: int, timeout_s: float = inf, again_from: int | None = None
    ) -> Process:
        """Waits for the messages of all neighbours under the tag `step`, in neighbour order.

        Args:
            target: the receiver.
            step: the tag.
            timeout_s: after so long it goes on; the messages that haven't arrived are None.
            again_from: the tag that it begins with again after a crash; left out, this one.

        Raises:
            SimulationError: there is a timeout, and the method doesn't say that it `skips`.
        """
        if timeout_s < inf:
            raise _no_timeout(timeout_s)
        boxes = self._gatherings[target]
        box = boxes.get(step)
        if box is None:
            box = boxes[step] = Gathering(self._degrees[target])
        if box.missing:
            box.waiter = Wake(self._env)
            yield box.waiter
        elif box.complete_s > self._env.now:
            yield self._env.timeout(box.complete_s - self._env.now)
        del boxes[step]
        return box.messages

    def missing(self, target: int, step: int) -> list[int]:
        """The neighbours whose message under a tag a worker still waits for."""
        box = self._gatherings[target].get(step)
        row = self._neighbours[target]
        return [j for k, j in enumerate(row) if box is None or box.messages[k] is None]

    def tell(
        self, source: int, target: int, message: Any, bits: int, step: int, tag: Hashable
    ) -> None:
        """Sends to one neighbour, in whose mailbox it lies under the tag when it arrives."""
        link, _ = self._link_to(source, target)
        if self._closed:
            return
        now = self._env.now
        departs, left, arrives = link.carry(now, bits)
        self.bits_sent += bits
        self._goes_out(source, departs, left)
        targets = link.targets if len(link.targets) == 1 else array("i", [target])
        self._timeline.receive(targets, source, departs, arrives, step, bits)
        self._timeline.send(source, departs, left, step, bits)
        arrive = self.mailboxes[target].arrive
        event = Wake(self._env)
        assert event.callbacks is not None
        event.callbacks.append(lambda _: arrive(source, tag, message))
        event.succeed_in(arrives - now)

    def _link_to(self, source: int, target: int) -> tuple[Link, End]:
        """The link from one worker to another; equal links are kept apart from now on."""
        links_to = self._links_to[source]
        if links_to is None:
            self._out[source] = [part for link in self._out[source] for part in link.split()]
            links_to = self._links_to[source] = {}
            for link in self._out[source]:
                for end in link.ends:
                    links_to[end.target] = link, end
                    self._in[end.target][end.place] = link
        try:
            return links_to[target]
        except KeyError:
            raise SimulationError(
                f"worker {source} sends to {target}, to which it has no link; it may send to "
                f"{', '.join(map(str, links_to))}"
            ) from None

    def start_with(self, source: int, message: Any) -> None:
        """What the neighbours of `source` know of it before anything has arrived."""
        for link in self._out[source]:
            link.newest = link.posted = message

    def send(
        self, source: int, message: Any, bits: int, step: int, timeout_s: float = inf
    ) -> Process:
        """Sends to all neighbours, who read the newest; waits until all have received it.

        Args:
            source: the sender.
            message: what to send.
            bits: its size.
            step: the sender's local step.
            timeout_s: after so long it goes on.

        Raises:
            SimulationError: as `gather`.
        """
        if timeout_s < inf:
            raise _no_timeout(timeout_s)
        if self._closed:
            yield self._env.event()  # which never happens
        now = last_arrival = self._env.now
        for link in self._out[source]:
            link.posted = message
            departs, left, arrives = self._launch(link, now, message, bits, step)
            self._goes_out(source, departs, left)
            last_arrival = max(last_arrival, arrives)
        if last_arrival > now:
            yield self._env.timeout(last_arrival - now)

    def post(self, source: int, message: Any, bits: int, step: int) -> None:
        """Sends to all neighbours, who read the newest message that has arrived.

        On a link whose wire is still busy it waits, and takes the place of one that waits already.
        """
        if self._closed:
            return
        now = self._env.now
        for link in self._out[source]:
            link.posted = message
            self._settle(link.wire, now)
            if link.wire.free_s <= now:
                self._launch(link, now, message, bits, step)
            else:
                link.wait(message, bits, step)

    def _launch(self, link: Link, now: float, message: Any, bits: int, step: int) -> TransitTimes:
        departs, left, arrives = link.carry(now, bits)
        link.land(now)  # here too: a receiver that reads at once what was posted never asks
        link.fly(arrives, message)
        total = bits * link.copies
        self.bits_sent += total
        self._timeline.receive(link.targets, link.source, departs, arrives, step, bits)
        self._timeline.send(link.source, departs, left, step, total)
        return departs, left, arrives

    def newest(self, target: int, *, instant: bool) -> list[Any]:
        """The newest message of each neighbour, in neighbour order.

        Args:
            target: the reader.
            instant: read what was posted, whether or not it has arrived.
        """
        links = self._in[target]
        if instant:
            return [link.posted for link in links]
        now = self._env.now
        found = []
        for link in links:
            if link.wire.waiting:
                self._settle(link.wire, now)
            link.land(now)
            found.append(link.newest)
        return found

    def settle(self) -> None:
        """Sends every waiting message whose wire has become free by now."""
        for links in self._out:
            for link in links:
                self._settle(link.wire, self._env.now)

    def finish(self) -> None:
        """At the end of a trial: tells the timeline what is still under way."""
        self.close()

    def _settle(self, wire: Wire, now: float) -> None:
        while wire.waiting and wire.free_s <= now:
            link = wire.waiting.popleft()
            assert link.waiting is not None
            message, bits, step = link.waiting
            link.waiting = None
            self._launch(link, wire.free_s, message, bits, step)


def _no_timeout(timeout_s: float) -> SimulationError:
    return SimulationError(
        f"timeout_s = {timeout_s:g}: a method that goes on without its neighbours must say so; "
        "give its class `skips = property(lambda self: True)`"
    )
