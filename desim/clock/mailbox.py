"""Letters: messages to one worker, which lie there by their tags until they are taken.

A receiver waits for letters, or has each handled at the instant of its arrival.
"""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import simpy


class Letter(NamedTuple):
    """A message that has arrived.

    Attributes:
        sender: its sender's number.
        content: what was sent.
    """

    sender: int
    content: Any


#: What is done with a letter when it arrives.
Handler = Callable[[int, Any], None]

Condition = Callable[[], bool]


class LetterBox:
    """The letters of one worker.

    Args:
        env: the clock.
    """

    __slots__ = ("_awaited", "_env", "_handlers", "_letters")

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._letters: dict[Hashable, list[Letter]] = {}
        self._handlers: dict[Hashable, Handler] = {}
        self._awaited: tuple[Condition, simpy.Event] | None = None

    def arrive(self, sender: int, tag: Hashable, content: Any) -> None:
        """A letter comes in."""
        handler = self._handlers.get(tag)
        if handler is None:
            self._letters.setdefault(tag, []).append(Letter(sender, content))
        else:
            handler(sender, content)
        self.look()

    def look(self) -> None:
        """Wakes who waits for a condition that holds now."""
        if self._awaited is not None and self._awaited[0]():
            self._awaited[1].succeed()
            self._awaited = None

    def handle(self, tag: Hashable, handler: Handler) -> None:
        """From now on letters under a tag are given to the handler; those that are there, at once.

        The newest handler of a tag counts.
        """
        self._handlers[tag] = handler
        for letter in self._letters.pop(tag, []):
            handler(*letter)

    def count(self, tag: Hashable) -> int:
        """How many letters lie there under a tag."""
        return len(self._letters.get(tag, ()))

    def take(self, tag: Hashable, count: int) -> list[Letter]:
        """The first letters under a tag, in the order of their arrival."""
        there = self._letters.pop(tag, [])
        if there[count:]:
            self._letters[tag] = there[count:]
        return there[:count]

    def wait(self, condition: Condition) -> simpy.Event:
        """An event that happens when the condition holds; it is looked at when a letter arrives."""
        event = self._env.event()
        self._awaited = condition, event
        return event

    def stop_waiting(self) -> None:
        """Nobody waits any more."""
        self._awaited = None
