"""An event whose time is known when it is triggered."""

import simpy


class Wake(simpy.Event):
    """One entry in the queue instead of the two of an event that a timeout triggers."""

    def succeed_in(self, delay_s: float) -> None:
        """Happens delay_s from now."""
        self._ok, self._value = True, None
        self.env.schedule(self, delay=delay_s)
