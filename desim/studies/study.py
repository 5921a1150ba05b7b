"""Runs all trials of a scenario, in parallel, into a results folder."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from threading import Thread
from typing import Any, Protocol

import loky
import numpy as np

from desim.clock.timeline import Sink
from desim.engine.collecting import rarely_collecting
from desim.engine.outcome import Outcome
from desim.engine.simulation import Simulation
from desim.errors import DesimWarning, ScenarioError, SimulationError
from desim.scenario.scenario import Scenario, Trial, prepared
from desim.scenario.setting import Setting
from desim.scenario.stopping import Evaluate, Stop
from desim.schema.own_code import named
from desim.streams import Streams
from desim.studies.amounts import check_amount, check_deadline, check_numbers
from desim.studies.content import Content, Contents
from desim.studies.ending import SIGNALS, held, orderly
from desim.studies.folder import ResultsFolder, schema_of
from desim.studies.manifest import status_of
from desim.studies.slow_operators import noted, tell
from desim.tensors.lazy import torch

#: A method that hasn't averaged with W in so many rounds doesn't.
_ROUNDS = 100


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
    options = {"train": train, "device": device, "threads": threads}
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


def check_device(device: str) -> None:
    """Raises ScenarioError where torch can't use the device."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ScenarioError(f"--device = {device}: torch can't use it here ({reason})") from None


def check_counts(**counts: int | None) -> None:
    """Raises ScenarioError where an option that counts something is less than 1."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ScenarioError(f"--{name} = {count}: must be at least 1")


def possible_jobs(jobs: int | None) -> int:
    """How many processes may run at a time; one in a process that can have no children."""
    if multiprocessing.current_process().daemon:
        if jobs is not None and jobs > 1:
            warnings.warn(
                f"jobs = {jobs}: runs with one, as a process of a multiprocessing.Pool can have "
                "none of its own",
                DesimWarning,
                stacklevel=3,
            )
        return 1
    return jobs or os.cpu_count() or 1


def check_buildable(trials: list[Trial], *, train: bool) -> None:
    """Builds each sweep point's graph and problem once, so that a bad one stops a run early.

    What is cheap to find out comes first: numbers, then the data, then the graph.
    """
    points: dict[str, list[Setting]] = {}
    for trial in trials:
        points.setdefault(repr(trial.point), []).append(trial.setting)
    for settings in points.values():
        _check_point([one for one in settings if one.seed == settings[0].seed], train=train)


def _check_point(settings: list[Setting], *, train: bool) -> None:
    """The same for one setting of each method."""
    first = settings[0]
    streams, workers = Streams(first.seed), first.cluster.size
    for setting in settings:
        check_numbers(setting, streams, train=train)
    if train:
        with noted():  # of what is slow, the trials tell
            first.problem.task(workers, streams, torch.device("cpu"))
    else:
        first.problem.parameters(streams)  # the clock needs the model's size
    fleet = first.fleet(streams)
    for setting in settings:
        setting.algorithm.check(fleet)
        check_deadline(setting, fleet, train=train)
    with rarely_collecting(workers):
        for setting in {_network_of(setting): setting for setting in settings}.values():
            _check_weights(setting, streams)
    for setting in settings:
        check_amount(setting, fleet)


def _network_of(setting: Setting) -> str:
    """What a method's graph and W depend on."""
    own = setting.algorithm
    return repr((own.topology, own.mixing, own.has_server, own.averages))


def _check_weights(setting: Setting, streams: Streams) -> None:
    """Raises ScenarioError where there is no graph, or no W for a method that averages with it."""
    weights = setting.weights(streams)
    try:
        weights.own  # noqa: B018
    except ScenarioError:
        # Whether the method ever asks for W is known from its rounds only.
        clock = replace(setting, stop=Stop(rounds=_ROUNDS), evaluate=Evaluate(every_rounds=_ROUNDS))
        Simulation(clock, train=False).run()


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


def finished(trial: Trial, outcome: Outcome) -> Finished:
    """What is told of a trial that has come to its end."""
    status, loss = status_of(outcome), outcome.rows[-1]["train_loss"]
    measured = status == "diverged" or not isnan(loss)
    return Finished(trial.name, status, outcome.time_s, loss if measured else None)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Lets torch use so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
        self._progress, self._trials, self._finished = progress, trials, finished
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
