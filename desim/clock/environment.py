"""SimPy's environment with a queue that many workers can share.

Workers that act in step schedule many events for the same instant, and a heap of all of them costs
more the more workers there are. Here the heap holds instants, and each instant its events in the
order in which they were scheduled: the order is SimPy's own.
"""

from collections import deque
from heapq import heappop, heappush
from typing import cast

import simpy
from simpy.core import EmptySchedule, Infinity, SimTime
from simpy.events import NORMAL, Event, EventPriority

_Instant = tuple[SimTime, EventPriority]


class Environment(simpy.Environment):
    """The clock of a trial.

    Attributes:
        scheduled: how many events are to come.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scheduled = 0
        self._instants: list[_Instant] = []
        # Most instants have one event, which needs no queue of its own.
        self._events: dict[_Instant, Event | deque[Event]] = {}

    def schedule(self, event: Event, priority: EventPriority = NORMAL, delay: SimTime = 0) -> None:
        """Puts an event `delay` from now, after those of the same instant and priority."""
        instant = (self._now + delay, priority)
        self.scheduled += 1
        there = self._events.get(instant)
        if there is None:
            self._events[instant] = event
            heappush(self._instants, instant)
        elif isinstance(there, deque):
            there.append(event)
        else:
            self._events[instant] = deque((there, event))

    def peek(self) -> SimTime:
        """The time of the next event; infinity if there is none."""
        return self._instants[0][0] if self._instants else Infinity

    def step(self) -> None:
        """Processes the next event.

        Raises:
            EmptySchedule: there is none.
        """
        if not self._instants:
            raise EmptySchedule
        instant = self._instants[0]
        there = self._events[instant]
        if isinstance(there, deque):
            event, last = there.popleft(), not there
        else:
            event, last = there, True
        if last:
            heappop(self._instants)
            del self._events[instant]
        self.scheduled -= 1
        self._now = instant[0]
        # SimPy marks a processed event so, against its own annotation.
        callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]
        for callback in callbacks:
            callback(event)
        if not event._ok and not hasattr(event, "_defused"):
            # An error that nobody waits for ends the simulation, as in SimPy.
            raise cast(Exception, event._value)


class Bounded(Environment):
    """A clock that stands still after so many events, as if there were no more.

    Args:
        events: how many.
    """

    def __init__(self, events: int) -> None:
        super().__init__()
        self._left = events

    def step(self) -> None:
        """Processes the next event.

        Raises:
            EmptySchedule: there is none, or there have been enough.
        """
        self._left -= 1
        if self._left < 0:
            raise EmptySchedule
        super().step()
