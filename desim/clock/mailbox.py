"""Messages: messages to one worker, which lie there by their tags until they are taken.

A receiver waits for messages, or has each handled at the instant of its arrival.
"""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import simpy


class Delivery(NamedTuple):
    """A message that has arrived.

    Attributes:
        sender: its sender's number.
        content: what was sent.
    """

    sender: int
    content: Any


#: What is done with a message when it arrives.
Handler = Callable[[int, Any], None]

Condition = Callable[[], bool]


class Mailbox:
    """The messages of one worker.

    Args:
        env: the clock.
    """

    __slots__ = ("_awaited", "_deliveries", "_env", "_handlers")

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._deliveries: dict[Hashable, list[Delivery]] = {}
        self._handlers: dict[Hashable, Handler] = {}
        self._awaited: tuple[Condition, simpy.Event] | None = None

    def arrive(self, sender: int, tag: Hashable, content: Any) -> None:
        """A message comes in."""
        handler = self._handlers.get(tag)
        if handler is None:
            self._deliveries.setdefault(tag, []).append(Delivery(sender, content))
        else:
            handler(sender, content)
        self.look()

    def look(self) -> None:
        """Wakes who waits for a condition that holds now."""
        if self._awaited is not None and self._awaited[0]():
            self._awaited[1].succeed()
            self._awaited = None

    def handle(self, tag: Hashable, handler: Handler) -> None:
        """From now on messages under a tag are given to the handler; those that are there, at once.

        The newest handler of a tag counts.
        """
        self._handlers[tag] = handler
        for message in self._deliveries.pop(tag, []):
            handler(*message)

    def count(self, tag: Hashable) -> int:
        """How many messages lie there under a tag."""
        return len(self._deliveries.get(tag, ()))

    def take(self, tag: Hashable, count: int) -> list[Delivery]:
        """The first messages under a tag, in the order of their arrival."""
        there = self._deliveries.pop(tag, [])
        if there[count:]:
            self._deliveries[tag] = there[count:]
        return there[:count]

    def wait(self, condition: Condition) -> simpy.Event:
        """An event that happens when the condition holds, looked at whenever a message arrives."""
        event = self._env.event()
        self._awaited = condition, event
        return event

    def stop_waiting(self) -> None:
        """Nobody waits any more."""
        self._awaited = None
