"""Writes results: one folder a study, one folder a trial, a manifest last.

What is in it stands in desim/schema/results.py. Nothing in a trial's folder depends on the
machine's clock, so the same trial gives the same bytes.
"""

import fcntl
import json
import os
import platform
import shutil
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w

from desim.engine.outcome import Outcome
from desim.errors import ResultsError, warn
from desim.scenario.scenario import Scenario, Trial
from desim.scenario.stopping import measured
from desim.schema.files import sha256
from desim.schema.paths import PATHS
from desim.schema.phrases import short
from desim.schema.results import (
    COMMANDS,
    LABELS,
    MANIFEST,
    METRICS,
    SCENARIO,
    TIMELINE,
    FolderKind,
    ResultsSchema,
)
from desim.schema.results import FILE as RESULTS_FILE
from desim.studies import manifest
from desim.studies.content import Content, Contents
from desim.studies.tables import PART, TimelineFile, labels, metrics, write, writing

#: A line names so many trials or versions.
_SHOWN = 3


class ResultsFolder:
    """The folder of one study.

    Args:
        path: where; made if it isn't there.
        scenario: what is run; a folder that holds another scenario is refused.
        options: what the bytes depend on besides the scenario: train, device, threads.
        schema: what the folder is.
        strict: whether trials there that were run under other versions are refused.

    Raises:
        ResultsError: the folder holds something else, or can't be written.
    """

    def __init__(
        self,
        path: Path,
        scenario: Scenario,
        options: dict[str, Any],
        schema: ResultsSchema,
        *,
        strict: bool = False,
    ) -> None:
        self.path, self._options, self._strict = path, options, strict
        file = path / SCENARIO
        with writing(path):
            if file.is_file():
                _same(path, file, scenario)
                _same_kind(path, schema)
                schema.write(path)
                write(file, tomli_w.dumps(scenario.table()))  # its [report] may be another
                return
            if path.is_dir() and any(path.iterdir()) and not _just_begun(path):
                raise ResultsError(
                    f"--out = {path}: must be empty or hold results of this scenario, and it holds "
                    "other files; choose another folder"
                )
            (path / "trials").mkdir(parents=True, exist_ok=True)
            schema.write(path)
            write(file, tomli_w.dumps(scenario.table()))

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keeps other runs out; the claim ends with the process, however it ends.

        Raises:
            ResultsError: another run is at work in the folder.
        """
        with writing(self.path):
            descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise ResultsError(
                f"--out = {self.path}: another run is at work there; wait for its end, or choose "
                "another folder"
            ) from None
        finally:
            os.close(descriptor)

    def missing(self, trials: Sequence[Trial], contents: Contents) -> list[Trial]:
        """Those that aren't there, or aren't as they were written: they are to be run.

        Warns of what is damaged, and of trials run under other versions.

        Raises:
            ResultsError: one was run with other options, on another content, or with `strict`
                under other versions.
        """
        found, damaged, others = [], [], set()
        for trial in trials:
            folder = self._folder(trial)
            try:
                there = manifest.read(folder)
                self._refuse_another(there, contents.of(trial.setting))
                manifest.check_files(folder, there)
            except FileNotFoundError:
                found.append(trial)
            except manifest.DamagedError as error:
                found.append(trial)
                damaged.append(f"{trial.name} ({error})")
            else:
                others |= _differing(there["versions"])
        if damaged:
            self._warn(f"run anew, being damaged: {_listed(damaged)}")
        if others and self._strict:
            raise ResultsError(
                f"--strict: {self.path} holds trials run with {_listed(sorted(others))}; take that "
                "version, or choose another folder"
            )
        if others:
            self._warn(
                f"holds trials run with {_listed(sorted(others))}; the results are mixed, which "
                "--strict refuses"
            )
        return found

    def _warn(self, text: str) -> None:
        warn(f"--out = {self.path}: {text}")

    def _refuse_another(self, there: dict[str, Any], content: Content) -> None:
        for key, value in self._options.items():
            if there.get(key) != value:
                raise ResultsError(
                    f"--out = {self.path}: holds trials run with {key} = {there.get(key)!r}, now "
                    f"it is {value!r}; choose another folder"
                )
        before = there["content"]
        for key in [*content, *before]:
            old, new = (each.get(key, "nothing") for each in (before, content))
            if old != new:
                raise ResultsError(
                    f"--out = {self.path}: holds another scenario, with {key} = content "
                    f"{old[:12]} instead of {new[:12]}; choose another folder"
                )

    def write(
        self,
        trial: Trial,
        content: Content,
        outcome: Outcome,
        timeline: TimelineFile | None,
    ) -> None:
        """Writes a trial's metrics and, last, its manifest.

        Args:
            trial: the trial.
            content: what it was made of.
            outcome: what came out.
            timeline: what `begin` gave; None for a trial without a timeline, which wasn't begun.
        """
        if timeline:
            timeline.close()
            folder = self._folder(trial)
        else:
            folder = self._clear(trial)
        with writing(self.path):
            pq.write_table(metrics(trial, outcome), folder / METRICS)
            if outcome.label_counts is not None:
                table = labels(outcome.label_counts, outcome.label_names)
                pq.write_table(table, folder / LABELS)
            text = manifest.text(folder, trial, outcome, self._options, content)
            write(folder / MANIFEST, text)

    def begin(self, trial: Trial) -> TimelineFile:
        """Makes a trial's folder afresh and opens its timeline."""
        folder = self._clear(trial)
        with writing(self.path):
            return TimelineFile(folder / TIMELINE, self.path)

    def _clear(self, trial: Trial) -> Path:
        folder = self._folder(trial)
        with writing(self.path):
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(parents=True)
        return folder

    def series(self, trial: Trial, columns: Sequence[str]) -> list[list[float]]:
        """Some columns of a finished trial's evaluations."""
        file = self._folder(trial) / METRICS
        table = pq.read_table(file, columns=list(dict.fromkeys(columns)))
        return [table[name].to_pylist() for name in columns]

    def add(self, name: str, content: str | pa.Table) -> Path:
        """Writes one more file, a text or a table, beside the trials."""
        file = self.path / name
        with writing(self.path):
            if isinstance(content, str):
                write(file, content)
            else:
                pq.write_table(content, file)
        return file

    def complete(self, trials: list[Trial], scenario: Scenario) -> None:
        """Writes the study's manifest."""
        packages = ("desim", "torch", "numpy", "simpy", "pyarrow")
        table = {
            "scenario": scenario.name,
            "seeds": list(scenario.seeds),
            **self._options,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "versions": {package: metadata.version(package) for package in packages},
            "trials": {trial.name: sha256(self._folder(trial) / MANIFEST) for trial in trials},
        }
        with writing(self.path):
            write(self.path / MANIFEST, json.dumps(table, indent=1) + "\n")

    def _folder(self, trial: Trial) -> Path:
        return self.path / "trials" / trial.name


def schema_of(kind: FolderKind, scenario: Scenario, metric: str | None = None) -> ResultsSchema:
    """What the results of a scenario hold.

    Args:
        kind: of folder.
        scenario: what is run.
        metric: the column that tables and figures are about; left out, that of the scenario's
            target if it can be compared, else the training loss.
    """
    columns = {
        one.name: one.column()
        for point in scenario.points()
        for changed in [scenario.with_values(point)]
        for one in measured(changed.evaluate, changed.stop)
    }
    target = scenario.stop.the_target()
    aimed = target.metric.name if target and target.metric.good else "train_loss"
    return ResultsSchema(kind, tuple(columns.values()), tuple(scenario.sweep), metric or aimed)


def _just_begun(path: Path) -> bool:
    """Whether a run was stopped between making the folder and describing what it runs."""
    begun = {RESULTS_FILE, RESULTS_FILE + PART, SCENARIO + PART}
    inside = {one.name for one in path.iterdir()}
    if not inside <= {"trials"} | begun or any((path / "trials").glob("*")):
        return False
    try:
        if RESULTS_FILE in inside:
            ResultsSchema.read(path)
    except ValueError:
        return False
    return True


def _same_kind(path: Path, schema: ResultsSchema) -> None:
    try:
        there = ResultsSchema.read(path).kind
    except ValueError:  # stopped before it was written, or damaged: written again
        return
    if there != schema.kind:
        raise ResultsError(
            f"--out = {path}: holds what `desim {COMMANDS[there]}` wrote; choose another folder"
        )


def _same(path: Path, file: Path, scenario: Scenario) -> None:
    try:
        there = tomllib.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ResultsError(f"{file}: is no scenario ({error}); choose another folder") from None
    if not there:
        raise ResultsError(
            f"{file}: is damaged (it is empty); remove the folder, or choose another one"
        )
    now = tomllib.loads(tomli_w.dumps(scenario.table()))
    # What is drawn changes no trial.
    old, new = ({k: v for k, v in _flat(t).items() if not _drawn(k)} for t in (there, now))
    for key in [*new, *old]:
        before, after = old.get(key, "nothing"), new.get(key, "nothing")
        # Wherever a file is: what it holds stands in the trials' manifests.
        moved = key.rpartition(".")[2] in PATHS and Path(str(after)).exists()
        if before != after and not moved:
            raise ResultsError(
                f"--out = {path}: holds another scenario, with {key} = {short(before)} instead of "
                f"{short(after)}; choose another folder"
            )


def _drawn(key: str) -> bool:
    return key == "report" or key.startswith("report.")


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    """A table's plain values by dotted key."""
    if not isinstance(value, dict | list) or key.startswith("seeds"):
        return {key: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    flat: dict[str, Any] = {}
    for name, item in items:
        flat |= _flat(item, f"{key}.{name}" if key else str(name))
    return flat


def _differing(there: dict[str, str]) -> set[str]:
    """Versions other than today's, with today's."""
    now = manifest.versions()
    return {
        f"{name} {there.get(name, '(unknown)')} (now {version})"
        for name, version in now.items()
        if there.get(name) != version
    }


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more
