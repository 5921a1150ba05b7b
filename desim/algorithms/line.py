"""Pairs of workers that stand in line until no pair before them has either worker.

Who is in line waits for pairs before its own only, so nobody can be waiting in a circle.
"""

from collections.abc import Callable
from typing import NamedTuple


class Turn(NamedTuple):
    """A pair in line.

    Attributes:
        asker, partner: the two workers.
        present: tells whether the asker is there; while it isn't, others are let through.
        begin: called when the turn has come.
    """

    asker: int
    partner: int
    present: Callable[[], bool]
    begin: Callable[[], None]


class Line:
    """The pairs of one trial; what is said to whoever keeps the line takes neither time nor bits."""

    def __init__(self) -> None:
        self._waiting: list[Turn] = []
        self._engaged: set[int] = set()

    def join(self, turn: Turn) -> None:
        """A pair stands at the end; it may begin at once."""
        self._waiting.append(turn)
        self.go_on()

    def go_on(self, *done: int) -> None:
        """Some workers are done with their pair, or are back; pairs whose turn has come begin."""
        self._engaged.difference_update(done)
        taken, waiting, self._waiting = set(self._engaged), self._waiting, []
        for turn in waiting:
            pair = {turn.asker, turn.partner}
            if not turn.present():
                self._waiting.append(turn)
                continue
            if taken & pair:
                self._waiting.append(turn)
            else:
                self._engaged |= pair
                turn.begin()
            taken |= pair
