"""Pairs of workers that stand in line until no pair before them has either worker.

Who is in line waits for pairs before its own only, so nobody can be waiting in a circle.
"""

from collections.abc import Callable
from typing import NamedTuple

from desim.worker.protocol import Worker


class Turn(NamedTuple):
    """A pair in line.

    Attributes:
        asker: the one that asks; while it is away, others are let through.
        partner: the number of the other.
        begin: called when the turn has come.
    """

    asker: Worker
    partner: int
    begin: Callable[[], None]


class Line:
    """The pairs of one trial. To keep the line takes neither time nor bits here.

    Args:
        apart: False lets all begin at once.
    """

    def __init__(self, *, apart: bool = True) -> None:
        self._apart = apart
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
            pair = {turn.asker.id, turn.partner}
            if not turn.asker.present or taken & pair:
                self._waiting.append(turn)
            else:
                self._engaged |= pair if self._apart else set()
                turn.begin()
            taken |= pair if self._apart and turn.asker.present else set()
