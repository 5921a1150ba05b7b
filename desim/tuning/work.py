"""Runs the trials of a search: those of one algorithm and one seed share a clock."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from desim.engine.outcome import Outcome
from desim.errors import DesimError, NonFiniteError
from desim.scenario.scenario import Trial
from desim.schema.own_code import named
from desim.studies.content import Content
from desim.studies.folder import ResultsFolder
from desim.studies.progress import Done, finished
from desim.studies.slow_operators import noted
from desim.studies.study import simulate, torch_threads
from desim.tuning.shared_clock import SharedClock


class TuningWork:
    """Trials of one algorithm and one seed that differ in their step sizes, to run and write.

    Args:
        folder: where results go.
        trials: what to run, each with what it is made of.
        start: the place of the first one in the file of shares.
        shares: the file, see `progress.Report`.
        options: device and threads.
    """

    def __init__(
        self,
        folder: ResultsFolder,
        trials: list[tuple[Trial, Content]],
        start: int,
        shares: Path,
        options: dict[str, Any],
    ) -> None:
        self._folder, self._options = folder, options
        self._trials = [trial for trial, _ in trials]
        self._contents = [content for _, content in trials]
        self._start, self._shares = start, shares

    @named
    def __call__(self, tell: Callable[[], None] | None = None) -> Done:
        """Runs the trials on one clock where that is possible."""
        shares = np.memmap(self._shares, np.float64, "r+")
        own = shares[self._start : self._start + len(self._trials)]

        def progress(share: float) -> None:
            # A trial counts as done when it has been written.
            own[:] = min(share, 0.999)
            try:
                if tell:
                    tell()
            except Exception as error:
                raise _FromOutside(error) from None

        ended = []
        with torch_threads(self._options["threads"]), noted() as slow:
            try:
                outcomes = self._outcomes(progress)
            except _FromOutside as error:
                raise error.error from None
            for trial, content, outcome in zip(self._trials, self._contents, outcomes, strict=True):
                self._folder.write(trial, content, outcome, None)
                ended.append(finished(trial, outcome))
        own[:] = 1.0
        return Done(tuple(ended), frozenset(slow))

    def _outcomes(self, progress: Callable[[float], None]) -> list[Outcome]:
        device = self._options["device"]
        if len(self._trials) > 1:
            step_sizes = [trial.setting.algorithm.step_size for trial in self._trials]
            setting = self._trials[0].setting
            try:
                together = SharedClock(setting, step_sizes, device=device, progress=progress)
                return together.run_all()
            except NonFiniteError:
                pass  # of some candidate: alone, each ends by itself
            except DesimError:
                raise
            except Exception:
                # An algorithm of the user's that needs one number for a step size may fail in any
                # way; where that isn't the reason, the same error comes again below.
                pass
        return [simulate(trial, device=device, progress=progress) for trial in self._trials]


class _FromOutside(BaseException):
    """An error of who is told of the progress: no reason to try the candidates one by one."""

    def __init__(self, error: Exception) -> None:
        self.error = error
