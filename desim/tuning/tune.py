"""Finds each algorithm's best step size, or its best deadline: what `desim tune` does.

Step sizes don't change a timeline, so all candidates of an algorithm and a seed share one clock
(desim/tuning/shared_clock.py). Deadlines change it: each is a trial of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isinf
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tomli_w

from desim.errors import ScenarioError
from desim.scenario.scenario import Scenario, Trial
from desim.schema.own_code import named
from desim.studies.buildable import check_buildable, check_counts, check_device
from desim.studies.content import Contents
from desim.studies.ending import orderly
from desim.studies.folder import ResultsFolder, schema_of
from desim.studies.pool import possible_jobs, work_through
from desim.studies.progress import Progress, Report
from desim.tuning.grid import Grid
from desim.tuning.objective import Curve, Objective, Score, score
from desim.tuning.search import Point, Search, SearchedMethod, changed, prepare_search
from desim.tuning.work import TuningWork


@dataclass(frozen=True)
class Tuned:
    """What a search found for one method.

    Attributes:
        label, parameter: the method, and what its number is called.
        value: the best number, in seconds where it is a deadline.
        epsilon: the best consensus step, or None where it wasn't searched.
        score: of the best.
        own: the scenario's number; of a deadline the one that T_d = b / E[V] gives.
        own_score: its score, or None where it wasn't among the candidates.
        candidates: how many were tried.
        on_edge: whether the best is the smallest or the largest number that was tried.
        note: what to know about it, or nothing.
    """

    label: str
    parameter: str
    value: float
    epsilon: float | None
    score: Score
    own: float
    own_score: Score | None
    candidates: int
    on_edge: bool
    note: str


@dataclass(frozen=True)
class Tuning:
    """What `tune` gives.

    Attributes:
        objective: what was looked for.
        methods: the best of each method.
        scenario: the scenario with them.
        folder: the results folder: `candidates.parquet` has a row per candidate and seed,
            `tuned.toml` is the scenario.
    """

    objective: Objective
    methods: tuple[Tuned, ...]
    scenario: Scenario
    folder: Path


@named
def tune(
    scenario: Scenario | str | Path,
    out: str | Path | None = None,
    *,
    values: dict[str, Any] | None = None,
    seeds: list[int] | None = None,
    target: float | None = None,
    at: float | None = None,
    metric: str | None = None,
    grid: Grid | None = None,
    epsilons: Sequence[float] = (),
    deadline: bool = False,
    jobs: int | None = None,
    threads: int = 1,
    device: str = "cpu",
    strict: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Tuning:
    """Searches each algorithm's step size, or deadline: what `desim tune` does.

    Args:
        scenario: the scenario, its file, or the name of one that comes with desim; no sweep.
        out: the results folder; left out, results/NAME-tuning or results/NAME-deadline. Candidates
            that are finished there are kept.
        values, seeds, jobs, threads, device, strict, progress: as for `run`.
        target: make the time to this value of the metric small.
        at: make the metric at this simulated time, in s, as good as possible; at the end of a trial
            that ends before. Without both: the time to the scenario's own target, or the metric at
            its end.
        metric: the kind of a metric; left out, that of the scenario's target or the training loss.
        grid: how many candidates, and where; the same number for every algorithm.
        epsilons: values of the consensus step that are crossed with the grid.
        deadline: search the deadline T_d of the algorithms that have one.

    Raises:
        ScenarioError, ModelError, ResultsError, SimulationError: see desim.errors.
    """
    planned = prepare_search(
        scenario,
        values=values,
        seeds=seeds,
        target=target,
        at=at,
        metric=metric,
        grid=grid,
        epsilons=epsilons,
        deadline=deadline,
    )
    return execute(
        planned,
        out,
        jobs=jobs,
        threads=threads,
        device=device,
        strict=strict,
        progress=progress,
    )


def execute(
    planned: Search,
    out: str | Path | None = None,
    *,
    jobs: int | None = None,
    threads: int = 1,
    device: str = "cpu",
    strict: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Tuning:
    """Runs a search that has been planned; the arguments and errors are those of `tune`."""
    check_counts(jobs=jobs, threads=threads)
    check_device(device)
    check_buildable(list(planned.tried.trials()), train=True)
    ending = "deadline" if planned.deadline else "tuning"
    path = Path(out or Path("results") / f"{planned.scenario.name}-{ending}")
    options = {"train": True, "device": device, "threads": int(threads)}
    schema = schema_of("tuning", planned.tried, planned.objective.column.name)
    folder = ResultsFolder(path, planned.tried, options, schema, strict=strict)
    with folder.claimed(), orderly():
        search = _Running(planned, folder, options, possible_jobs(jobs), progress)
        return search.run()


@dataclass(frozen=True)
class _Candidate:
    """One of a method's candidates: its values and its trials, one per seed."""

    point: Point
    trials: tuple[Trial, ...]


class _Running:
    def __init__(
        self,
        planned: Search,
        folder: ResultsFolder,
        options: dict[str, Any],
        jobs: int,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._plan, self._folder, self._options = planned, folder, options
        self._jobs, self._progress = jobs, progress
        self._contents = Contents(train=True)
        self._done = 0
        self._curves: dict[str, Curve] = {}
        self._tried: list[list[_Candidate]] = [[] for _ in planned.methods]

    def run(self) -> Tuning:
        """Both stages, and the files."""
        planned = self._plan
        coarse = [planned.coarse(method) for method in planned.methods]
        self._try([self._first(m, v) for m, v in zip(planned.methods, coarse, strict=True)])
        self._try(
            [
                [
                    best.point | {method.key: value}
                    for value in planned.grid.fine(values, best.point[method.key])
                ]
                for method, values, best in zip(planned.methods, coarse, self._best(), strict=True)
            ]
        )
        best = self._best()
        self._check_target(best)
        tuned = planned.scenario
        for method, candidate in zip(planned.methods, best, strict=True):
            if not isinf(self._score(candidate).best):
                tuned = changed(tuned, method, candidate.point)
        self._folder.add("tuned.toml", tomli_w.dumps(tuned.table()))
        self._folder.add("candidates.parquet", self._table(best))
        trials = [t for tried in self._tried for candidate in tried for t in candidate.trials]
        self._folder.complete(trials, planned.tried)
        methods = tuple(map(self._found, range(len(best)), best))
        return Tuning(planned.objective, methods, tuned, self._folder.path)

    def _first(self, method: SearchedMethod, values: list[float]) -> list[Point]:
        """The first stage; the rule that deadlines are measured against is always among them."""
        missing = [method.own] if self._plan.deadline and method.own not in values else []
        return method.points([*values, *missing])

    def _try(self, points: Sequence[Sequence[Point]]) -> None:
        """Runs a stage: the points of each method, for every seed."""
        stage: list[list[Trial]] = []
        for method, tried, new in zip(self._plan.methods, self._tried, points, strict=True):
            known = [candidate.point for candidate in tried]
            # Points so close that they are one to four digits are tried once.
            unique = {tuple(p.items()): p for p in new if p not in known}.values()
            candidates = [self._candidate(method, point) for point in unique]
            tried += candidates
            # Those of one seed share a clock.
            stage += [list(trials) for trials in zip(*(c.trials for c in candidates), strict=True)]
        all_trials = [trial for trials in stage for trial in trials]
        missing = {trial.name for trial in self._folder.missing(all_trials, self._contents)}
        groups = [[t for t in trials if t.name in missing] for trials in stage]
        groups = [part for group in groups for part in self._parts(group, len(stage))]
        expected = self._plan.candidates * len(points) * len(self._plan.tried.seeds)
        count, kept = len(all_trials), len(all_trials) - len(missing)
        report = Report(self._progress, max(expected, self._done + count), self._done + kept)
        with report.shared() as shares:
            starts = np.cumsum([0, *map(len, groups)]).tolist()
            work = [
                TuningWork(
                    self._folder,
                    [(trial, self._contents.of(trial.setting)) for trial in group],
                    start,
                    shares,
                    self._options,
                )
                for group, start in zip(groups, starts[:-1], strict=True)
            ]
            work_through(work, min(self._jobs, len(work)), report)
            report.update()
        self._done += count

    def _parts(self, group: list[Trial], groups: int) -> list[list[Trial]]:
        """A group cut so that every process has something to do; deadlines each alone."""
        if self._plan.deadline:
            return [[trial] for trial in group]
        size = max(1, -(-len(group) // max(1, self._jobs // groups)))
        return [group[i : i + size] for i in range(0, len(group), size)]

    def _candidate(self, method: SearchedMethod, point: Point) -> _Candidate:
        scenario = changed(self._plan.tried, method, point)
        prefix = "-".join(f"{key.rpartition('.')[2]}={value!r}" for key, value in point.items())
        values = {f"algorithms.{method.label}.{key}": value for key, value in point.items()}
        own = [t for t in scenario.trials() if t.setting.algorithm.name == method.label]
        return _Candidate(
            point, tuple(t._replace(name=f"{prefix}-{t.name}", point=values) for t in own)
        )

    def _curve(self, trial: Trial) -> Curve:
        if trial.name not in self._curves:
            names = ["time_s", self._plan.objective.column.name, "train_loss"]
            times_s, values, losses = self._folder.series(trial, names)
            self._curves[trial.name] = Curve(times_s, values, not np.isfinite(losses[-1]))
        return self._curves[trial.name]

    def _score(self, candidate: _Candidate) -> Score:
        return score(self._plan.objective, [self._curve(trial) for trial in candidate.trials])

    def _best(self) -> list[_Candidate]:
        # Of equals the scenario's own, or else the one with the smaller number: it is the further
        # from divergence.
        return [
            min(tried, key=lambda c: (self._score(c), c.point[m.key] != m.own, *c.point.values()))
            for m, tried in zip(self._plan.methods, self._tried, strict=True)
        ]

    def _check_target(self, best: list[_Candidate]) -> None:
        objective = self._plan.objective
        start = self._curve(best[0].trials[0]).values[0]
        if objective.target is not None and objective.sign * (start - objective.target) <= 0:
            side = "above" if objective.above else "below"
            raise ScenarioError(
                f"--target = {objective.target:g}: must be {side} the {objective.column.title} "
                f"before training, {start:.4g}"
            )

    def _found(self, place: int, best: _Candidate) -> Tuned:
        method, tried = self._plan.methods[place], self._tried[place]
        values = sorted({candidate.point[method.key] for candidate in tried})
        own = [c for c in tried if c.point[method.key] == method.own]
        epsilon = next((best.point[key] for key, _ in method.epsilons), None)
        value, found = best.point[method.key], self._score(best)
        on_edge = value in (values[0], values[-1])
        return Tuned(
            label=method.label,
            parameter=method.parameter,
            value=value * method.unit,
            epsilon=epsilon,
            score=found,
            own=method.own * method.unit,
            own_score=min(map(self._score, own), default=None),
            candidates=len(tried),
            on_edge=on_edge,
            note=self._note(found, on_edge, self._epsilon_edge(method, epsilon)),
        )

    def _epsilon_edge(self, method: SearchedMethod, epsilon: float | None) -> str:
        """What to add to the consensus steps; an epsilon of 1 averages fully and needs no more."""
        tried = sorted(value for _, value in method.epsilons)
        if epsilon is None or len(tried) < 2:
            return ""
        if epsilon == tried[0]:
            return "smaller"
        full = method.epsilons[0][0].endswith(".epsilon") and epsilon >= 1
        return "larger" if epsilon == tried[-1] and not full else ""

    def _note(self, found: Score, on_edge: bool, epsilon_edge: str) -> str:
        if isinf(found.best):
            return "all diverged, left as it was: smaller ones with --range"
        notes = []
        if isinf(found.cost):
            notes.append("no candidate reached the target for every seed")
        if on_edge:
            notes.append("on the edge of the grid: widen with --range")
        if epsilon_edge:
            notes.append(f"at the end of --epsilon: add {epsilon_edge} ones")
        return "; ".join(notes)

    def _table(self, best: list[_Candidate]) -> pa.Table:
        objective = self._plan.objective
        rows = []
        for method, tried, chosen in zip(self._plan.methods, self._tried, best, strict=True):
            for candidate, trial in ((c, t) for c in tried for t in c.trials):
                curve = self._curve(trial)
                rows.append(
                    {
                        "algorithm": method.label,
                        "parameter": method.parameter,
                        "value": candidate.point[method.key] * method.unit,
                        "epsilon": next((candidate.point[k] for k, _ in method.epsilons), None),
                        "seed": trial.setting.seed,
                        "objective": str(objective),
                        "target": objective.target,
                        "score": objective.shown(objective.cost(curve)),
                        "best_value": objective.best(curve),
                        "diverged": curve.diverged,
                        "best": candidate is chosen,
                        "own": candidate.point[method.key] == method.own,
                    }
                )
        return pa.Table.from_pylist(rows)
