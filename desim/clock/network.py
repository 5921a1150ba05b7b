"""The network: links between neighbours, mailboxes, and the two ways to read them.

A message's arrival is known when it is sent, so it costs no event of its own: it lies in the
receiver's mailbox with its arrival time, and only a receiver that waits for the last one is woken.
"""

from collections.abc import Generator, Sequence
from math import inf
from typing import Any

import simpy

from desim.clock.links.base import Link, LinkModel, Mailbox
from desim.clock.timeline import Timeline
from desim.streams import Streams

Process = Generator[simpy.Event, Any, Any]


class Wake(simpy.Event):
    """An event whose time is known when it is triggered: one queue entry instead of two."""

    def succeed_in(self, delay_s: float) -> None:
        """Happens delay_s from now."""
        self._ok, self._value = True, None
        self.env.schedule(self, delay=delay_s)


class Network:
    """All directed links of a graph.

    Args:
        env: the clock.
        neighbours: for each worker the list of its neighbours.
        model: how a link carries messages.
        streams: for links that differ at random.
        timeline: where departures and arrivals are noted.

    Attributes:
        bits_sent: bits handed to all links so far; messages that wait and may still be replaced
            don't count.
    """

    def __init__(
        self,
        env: simpy.Environment,
        neighbours: Sequence[Sequence[int]],
        model: LinkModel,
        streams: Streams,
        timeline: Timeline,
    ) -> None:
        self._env, self._timeline = env, timeline
        self.bits_sent = 0
        self._degrees = [len(row) for row in neighbours]
        self._mailboxes: list[dict[int, Mailbox]] = [{} for _ in neighbours]
        self._out = [model.build(i, row, streams) for i, row in enumerate(neighbours)]
        self._in: list[list[Link]] = [[] for _ in neighbours]
        for links in self._out:  # sources ascend, so each receiver's list is in neighbour order
            for link in links:
                for target in link.targets:
                    place = len(self._in[target])
                    link.ends.append((self._mailboxes[target], place, self._degrees[target]))
                    self._in[target].append(link)

    def broadcast(self, source: int, message: Any, bits: int, step: int) -> float:
        """Sends to all neighbours under the tag `step`.

        Returns:
            When the last message has left, in simulated seconds.
        """
        now = last_left = self._env.now
        first = inf
        for link in self._out[source]:
            departs, left, arrives = link.carry(now, bits)
            first, last_left = min(first, departs), max(last_left, left)
            self._timeline.receive(link.targets, source, departs, arrives, step, bits)
            for boxes, place, degree in link.ends:
                try:  # most often it is there: the receiver's other neighbours have sent
                    box = boxes[step]
                except KeyError:
                    box = boxes[step] = Mailbox(degree)
                box.messages[place] = message
                if arrives > box.complete_s:
                    box.complete_s = arrives
                missing = box.missing = box.missing - 1
                if not missing and box.waiter is not None:
                    box.waiter.succeed_in(box.complete_s - now)
        total = bits * self._degrees[source]
        self.bits_sent += total
        self._timeline.send(source, first, last_left, step, total)
        return last_left

    def gather(self, target: int, step: int) -> Generator[simpy.Event, Any, list[Any]]:
        """Waits for the messages of all neighbours under the tag `step`, in neighbour order."""
        boxes = self._mailboxes[target]
        box = boxes.get(step)
        if box is None:
            box = boxes[step] = Mailbox(self._degrees[target])
        if box.missing:
            box.waiter = Wake(self._env)
            yield box.waiter
        elif box.complete_s > self._env.now:
            yield self._env.timeout(box.complete_s - self._env.now)
        del boxes[step]
        return box.messages

    def start_with(self, source: int, message: Any) -> None:
        """What the neighbours of `source` know of it before anything has arrived."""
        for link in self._out[source]:
            link.newest = link.posted = message

    def post(
        self, source: int, message: Any, bits: int, step: int, *, replace: bool
    ) -> tuple[float, float]:
        """Sends to all neighbours, who read the newest message that has arrived.

        Args:
            source: the sender.
            message: what to send.
            bits: its size.
            step: the sender's local step.
            replace: on a link still busy with an older message, wait, and take the place of a
                message that waits already; otherwise queue.

        Returns:
            When the last message that isn't waiting has left, and when it arrives.
        """
        now = last_left = last_arrival = self._env.now
        for link in self._out[source]:
            link.posted = message
            if replace:
                self._settle(link, now)
                if link.free_at() > now:
                    link.waiting = (message, bits, step)
                    continue
            left, arrives = self._launch(link, now, message, bits, step)
            last_left, last_arrival = max(last_left, left), max(last_arrival, arrives)
        return last_left, last_arrival

    def _launch(
        self, link: Link, now: float, message: Any, bits: int, step: int
    ) -> tuple[float, float]:
        departs, left, arrives = link.carry(now, bits)
        link.land(now)  # here too: a receiver that reads at once what was posted never asks
        link.flying.append((arrives, message))
        total = bits * len(link.targets)
        self.bits_sent += total
        self._timeline.receive(link.targets, link.source, departs, arrives, step, bits)
        self._timeline.send(link.source, departs, left, step, total)
        return left, arrives

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
            if link.waiting is not None:
                self._settle(link, now)
            link.land(now)
            found.append(link.newest)
        return found

    def settle(self) -> None:
        """Sends every waiting message whose link has become free by now."""
        for links in self._out:
            for link in links:
                self._settle(link, self._env.now)

    def _settle(self, link: Link, now: float) -> None:
        free = link.free_at()
        if link.waiting is not None and free <= now:
            message, bits, step = link.waiting
            link.waiting = None
            self._launch(link, free, message, bits, step)
