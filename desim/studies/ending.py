"""SIGTERM and SIGHUP end a run as Ctrl-C does: in order, with nothing left behind."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: What the batch system sends, or a terminal that is closed.
SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Terminated(SystemExit):
    """The program was told to end; its exit code is 128 + the signal's number."""

    code: int

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


@contextmanager
def orderly() -> Iterator[None]:
    """Raises Terminated in here on a signal that would end the program at once.

    A signal that is ignored (under nohup) or handled by the program itself stays so, and all do
    outside the main thread, where Python allows no handlers. Afterwards everything is as before.
    """
    taken: list[signal.Signals] = []
    if threading.current_thread() is threading.main_thread():
        taken = [one for one in SIGNALS if signal.getsignal(one) is signal.SIG_DFL]

    def end(number: int, frame: FrameType | None) -> None:
        for one in taken:  # another one would cut the tidying short
            signal.signal(one, signal.SIG_IGN)
        raise Terminated(number)

    for one in taken:
        signal.signal(one, end)
    try:
        yield
    finally:
        for one in taken:
            signal.signal(one, signal.SIG_DFL)


@contextmanager
def held() -> Iterator[None]:
    """Holds signals back until its end; processes that are started in here never get them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
