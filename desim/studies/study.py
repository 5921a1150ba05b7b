"""Runs all trials of a scenario, in parallel, into a results folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from desim.clock.timeline import Sink
from desim.engine.outcome import Outcome
from desim.engine.simulation import Simulation
from desim.scenario.scenario import Scenario, Trial, prepared
from desim.schema.own_code import named
from desim.studies.buildable import check_buildable, check_counts, check_device
from desim.studies.content import Content, Contents
from desim.studies.ending import orderly
from desim.studies.folder import ResultsFolder, schema_of
from desim.studies.pool import possible_jobs, work_through
from desim.studies.progress import Done, Progress, Report, finished
from desim.studies.slow_operators import noted
from desim.tensors.lazy import torch


@named
def run(
    scenario: Scenario | str | Path,
    out: str | Path | None = None,
    *,
    values: dict[str, Any] | None = None,
    seeds: list[int] | None = None,
    jobs: int | None = None,
    threads: int = 1,
    device: str = "cpu",
    train: bool = True,
    strict: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Path:
    """Runs a scenario: what `desim run` does.

    Args:
        scenario: the scenario, its file, or the name of one that comes with desim.
        out: the results folder; left out, results/NAME. Trials that are finished there are kept.
        values: other values at dotted keys, such as {"cluster.workers": 100}.
        seeds: instead of the scenario's.
        jobs: trials that run at the same time, each in a process of its own; left out, one per
            processor.
        threads: torch threads per trial.
        device: "cpu" or "cuda".
        train: False runs the clock alone, without data and gradients.
        strict: refuse trials that were run under other versions of desim, torch, numpy or Python;
            otherwise they are kept, with a `DesimWarning`.
        progress: called several times a second.

    Returns:
        The results folder; `analysis.load` reads it.

    Raises:
        ScenarioError, ModelError, ResultsError, SimulationError: see desim.errors.
    """
    scenario = prepared(scenario, values, seeds)
    check_counts(jobs=jobs, threads=threads)
    check_device(device)
    trials = list(scenario.trials())
    check_buildable(trials, train=train)
    options = {"train": bool(train), "device": device, "threads": int(threads)}  # not numpy's
    path = Path(out or Path("results") / scenario.name)
    folder = ResultsFolder(path, scenario, options, schema_of("run", scenario), strict=strict)
    contents, jobs = Contents(train=train), possible_jobs(jobs)
    with folder.claimed(), orderly():
        missing = folder.missing(trials, contents)
        most = min(jobs, len(missing))
        report = Report(progress, len(trials), len(trials) - len(missing))
        with report.shared() as shares:
            made = [(trial, contents.of(trial.setting)) for trial in missing]
            work = [_Work(folder, *one, i, shares, options) for i, one in enumerate(made)]
            work_through(work, most, report)
        folder.complete(trials, scenario)
    return folder.path


@named
def simulate(
    trial: Trial,
    *,
    train: bool = True,
    device: str = "cpu",
    timeline: Sink | None = None,
    progress: Callable[[float], None] | None = None,
) -> Outcome:
    """Runs one trial in this process and writes nothing.

    Args:
        trial: of `Scenario.trials`.
        train: False runs the clock alone, without data and gradients.
        device: "cpu" or "cuda".
        timeline: is given the intervals as columns, a piece at a time.
        progress: called now and then with the share of the trial that is done.

    Raises:
        ScenarioError, ModelError: the trial can't be simulated.
    """
    simulation = Simulation(
        trial.setting, train=train, device=device, timeline=timeline, progress=progress
    )
    return simulation.run()


class _Work:
    """One trial to run and write, in this process or another."""

    def __init__(
        self,
        folder: ResultsFolder,
        trial: Trial,
        content: Content,
        number: int,
        shares: Path,
        options: dict[str, Any],
    ) -> None:
        self.trial, self._content = trial, content
        self._folder, self._number, self._shares = folder, number, shares
        self._options = options

    @named
    def __call__(self, tell: Callable[[], None] | None = None) -> Done:
        shares = np.memmap(self._shares, np.float64, "r+")

        def progress(share: float) -> None:
            shares[self._number] = share
            if tell:
                tell()

        with torch_threads(self._options["threads"]), noted() as slow:
            timeline = self._folder.begin(self.trial)
            outcome = simulate(
                self.trial,
                train=self._options["train"],
                device=self._options["device"],
                timeline=timeline,
                progress=progress,
            )
            self._folder.write(self.trial, self._content, outcome, timeline)
            progress(1.0)
        return Done((finished(self.trial, outcome),), frozenset(slow))


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Lets torch use so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
