"""How far a command is: a bar on a terminal, else a line for each trial that has finished."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from desim.studies.progress import Finished, Progress


@contextmanager
def shown(console: Console) -> Iterator[Callable[["Progress"], None]]:
    """What shows progress; nothing where the console is quiet."""
    if console.quiet:
        yield lambda now: None
    elif console.is_terminal:
        with _bar(console) as show:
            yield show
    else:
        yield _lines


@contextmanager
def _bar(console: Console) -> Iterator[Callable[["Progress"], None]]:
    from rich import progress

    bar = progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        progress.TimeRemainingColumn(),
        console=console,
    )

    def show(now: "Progress") -> None:
        text = f"trials {now.done}/{now.trials}, simulated"
        task = bar.task_ids[0] if bar.task_ids else bar.add_task(text, total=1.0)
        bar.update(task, completed=now.share, description=text)

    bar.start()
    try:
        yield show
    finally:
        with suppress(OSError):  # the terminal may be what has gone
            bar.stop()


def _lines(now: "Progress") -> None:
    for trial in now.finished:
        try:
            print(f"trial {trial.number}/{now.trials} {_line(trial)}", flush=True)
        except OSError:  # whoever read this has gone: what is computed still counts
            silence()


def _line(trial: "Finished") -> str:
    at = "after" if trial.status == "finished" else "at"
    loss = "" if trial.train_loss is None else f", training loss {trial.train_loss:.4g}"
    return f"{trial.trial}: {trial.status} {at} {trial.time_s:.4g} simulated s{loss}"


def silence() -> None:
    """Sends what else is printed nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
