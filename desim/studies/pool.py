"""Runs pieces of work, in this process or in several."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from threading import Thread
from typing import Protocol

import loky

from desim.errors import SimulationError, warn
from desim.studies.ending import SIGNALS, held
from desim.studies.progress import Done, Report


def possible_jobs(jobs: int | None) -> int:
    """How many processes may run at a time; one in a process that can have no children."""
    if multiprocessing.current_process().daemon:
        if jobs is not None and jobs > 1:
            warn(
                f"jobs = {jobs}: runs with one, as a process of a multiprocessing.Pool can have "
                "none of its own"
            )
        return 1
    return jobs or os.cpu_count() or 1


class Work(Protocol):
    """Something to do, in this process or another; `tell` is called now and then."""

    def __call__(self, tell: Callable[[], None] | None = None) -> Done:
        """Does the work."""


def work_through(work: Sequence[Work], jobs: int, report: Report) -> None:
    """Does all work, so many pieces at a time, each in a process of its own where jobs > 1.

    Raises:
        SimulationError: a process was killed; and whatever the work raises.
    """
    if jobs <= 1:
        for item in work:
            report.add(item(report.update))
            report.update()
        return
    with held():  # the pool's keeper, which starts now, must outlive a closed terminal
        pool = loky.ProcessPoolExecutor(jobs, initializer=_obey, initargs=(os.getpid(),))
    try:
        with held():
            waiting: set[Future[Done]] = {pool.submit(item) for item in work}
        while waiting:
            done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                report.add(future.result())
            report.update()
    except loky.process_executor.TerminatedWorkerError:
        raise SimulationError(
            f"--jobs = {jobs}: a trial was killed from outside (no memory left?); "
            "the same command with fewer jobs goes on where this one stopped"
        ) from None
    finally:
        # After an error or Ctrl-C the trials that still run are given up: what is finished stays.
        pool.shutdown(wait=True, kill_workers=True)


def _obey(parent: int) -> None:
    """Makes a process of the pool live and die with the first one."""
    # Signals may reach every process of the terminal or the job; only the first one acts on them.
    for one in (signal.SIGINT, *SIGNALS):
        signal.signal(one, signal.SIG_IGN)
    Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """Ends this process when the first one was killed: the same command may be running again."""
    while os.getppid() == parent:
        time.sleep(0.1)
    os._exit(1)
