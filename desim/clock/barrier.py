"""A barrier: everyone waits for everyone."""

import simpy


class Barrier:
    """Opens when all parties have come, and can be used again at once.

    Args:
        env: the clock.
        parties: how many must come.
    """

    def __init__(self, env: simpy.Environment, parties: int) -> None:
        self._env, self._parties = env, parties
        self._missing = parties
        self._open = env.event()

    def arrive(self) -> simpy.Event:
        """The event to wait for; it happens when the last party arrives."""
        event = self._open
        self._missing -= 1
        if not self._missing:
            self._missing, self._open = self._parties, self._env.event()
            event.succeed()
        return event
