"""A barrier: everyone waits for everyone."""

import simpy


class Barrier:
    """Opens when all workers have come, and can be used again at once.

    Args:
        env: the clock.
        workers: how many must come.
    """

    def __init__(self, env: simpy.Environment, workers: int) -> None:
        self._env, self._workers = env, workers
        self._here: dict[int, int] = {}
        self._excused: set[int] = set()
        self._open = env.event()

    def arrive(self, worker: int, number: int) -> simpy.Event:
        """The event to wait for: it happens when the last worker arrives.

        Args:
            worker: who arrives.
            number: of its round; the event's value is the largest of all.
        """
        event = self._open
        self._here[worker] = number
        if len(self._here) == self._workers - len(self._excused):
            self._open_for_all()
        return event

    def leave(self, worker: int, *, excused: bool) -> None:
        """A worker goes, whether it has arrived or not; the others wait unless it is excused."""
        self._here.pop(worker, None)
        if excused:
            self._excused.add(worker)
            if self._here and len(self._here) == self._workers - len(self._excused):
                self._open_for_all()

    def come_back(self, worker: int) -> None:
        """A worker is expected again."""
        self._excused.discard(worker)

    def missing(self) -> list[int]:
        """The workers that the others wait for."""
        expected = set(range(self._workers)) - self._excused
        return sorted(expected - self._here.keys())

    def _open_for_all(self) -> None:
        event, newest = self._open, max(self._here.values())
        self._here, self._open = {}, self._env.event()
        event.succeed(newest)
