"""What is told of a study while it runs: how far it is, and which trials have ended."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path

import numpy as np

from desim.engine.outcome import Outcome
from desim.errors import SimulationError
from desim.scenario.scenario import Trial
from desim.schema.own_code import passing_on
from desim.studies.manifest import status_of
from desim.studies.slow_operators import tell


@dataclass(frozen=True)
class Finished:
    """A trial that has just come to its end.

    Attributes:
        trial: its name.
        status: "finished", "diverged" or "stalled".
        time_s: simulated.
        train_loss: at its last evaluation; None without training.
        number: how many trials are finished with it.
    """

    trial: str
    status: str
    time_s: float
    train_loss: float | None
    number: int = 0


@dataclass(frozen=True)
class Progress:
    """How far a study is.

    Attributes:
        trials: how many there are.
        done: how many are finished.
        share: the share of all simulated time (or rounds) that is done, 0 to 1.
        finished: the trials that have come to their ends since this was last told.
    """

    trials: int
    done: int
    share: float
    finished: tuple[Finished, ...] = ()


@dataclass(frozen=True)
class Done:
    """What a process tells of a piece of work.

    Attributes:
        finished: its trials.
        slow_operators: those that torch can't take for many workers at once.
    """

    finished: tuple[Finished, ...]
    slow_operators: frozenset[str]


def finished(trial: Trial, outcome: Outcome) -> Finished:
    """What is told of a trial that has come to its end."""
    status, loss = status_of(outcome), outcome.rows[-1]["train_loss"]
    measured = status == "diverged" or not isnan(loss)
    return Finished(trial.name, status, outcome.time_s, loss if measured else None)


class Report:
    """Adds up the progress of all trials, which each process writes into a shared file.

    Args:
        progress: told how far it is, or None.
        trials: how many there are.
        finished: how many of them are finished to begin with.
    """

    def __init__(
        self, progress: Callable[[Progress], None] | None, trials: int, finished: int
    ) -> None:
        self._progress = progress and passing_on(progress)
        self._trials, self._finished = trials, finished
        self._shares = np.zeros(0)
        self._ended, self._untold = finished, list[Finished]()
        self._slow_operators: frozenset[str] = frozenset()

    @contextmanager
    def shared(self) -> Iterator[Path]:
        """The file, with one float64 per trial that is missing: the share of it that is done."""
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="desim-"))
                path = Path(folder) / "progress"
                # Written rather than mapped: a full disk is then an error and no crash.
                path.write_bytes(bytes(8 * max(1, self._missing)))
                self._shares = np.memmap(path, np.float64, "r+")
            except OSError as error:
                raise SimulationError(
                    f"$TMPDIR: must be a folder for temporary files that can be written ({error})"
                ) from None
            self.update()
            yield path

    @property
    def _missing(self) -> int:
        return self._trials - self._finished

    def add(self, done: Done) -> None:
        """Notes a piece of work that is done; told by the next update."""
        for one in done.finished:
            self._ended += 1
            self._untold.append(replace(one, number=self._ended))
        tell(done.slow_operators - self._slow_operators)
        self._slow_operators |= done.slow_operators

    def update(self) -> None:
        """Reports how far all trials are."""
        if self._progress:
            untold, self._untold = tuple(self._untold), []
            done = self._finished + int((self._shares[: self._missing] >= 1).sum())
            share = (self._finished + float(self._shares[: self._missing].sum())) / self._trials
            self._progress(Progress(self._trials, done, share, untold))
