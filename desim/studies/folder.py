"""Writes results: one folder a study, one folder a trial, a manifest last.

What is in it stands in desim/schema/results.py. Nothing in a trial's folder depends on the
machine's clock, so the same trial gives the same bytes.
"""

import fcntl
import hashlib
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

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w

from desim.clock.timeline import DTYPES, KINDS, Columns
from desim.engine.outcome import Outcome
from desim.errors import ResultsError
from desim.scenario.scenario import Scenario, Trial
from desim.scenario.stopping import measured
from desim.schema.phrases import short
from desim.schema.results import COMMANDS, FolderKind, ResultsSchema
from desim.schema.results import FILE as RESULTS_FILE

_KIND_TYPE = pa.dictionary(pa.int8(), pa.string())
_TIMELINE_SCHEMA = pa.schema(
    [
        (key, _KIND_TYPE if key == "kind" else pa.from_numpy_dtype(np.dtype(dtype)))
        for key, dtype in DTYPES.items()
    ]
)


class ResultsFolder:
    """The folder of one study.

    Args:
        path: where; made if it isn't there.
        scenario: what is run; a folder that holds another scenario is refused.
        options: what the bytes depend on besides the scenario: train, device, threads.
        schema: what the folder is.

    Raises:
        ResultsError: the folder holds something else, or can't be written.
    """

    def __init__(
        self, path: Path, scenario: Scenario, options: dict[str, Any], schema: ResultsSchema
    ) -> None:
        self.path, self._options = path, options
        file = path / "scenario.toml"
        with _writing(path):
            if file.is_file():
                _same(path, file, scenario)
                _same_kind(path, schema)
                schema.write(path)
                _write(file, tomli_w.dumps(scenario.table()))  # its [report] may be another
                return
            if path.is_dir() and any(path.iterdir()) and not _just_begun(path):
                raise ResultsError(
                    f"--out = {path}: must be empty or hold results of this scenario, and it holds "
                    "other files; choose another folder"
                )
            (path / "trials").mkdir(parents=True, exist_ok=True)
            schema.write(path)
            _write(file, tomli_w.dumps(scenario.table()))

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keeps other runs out; the claim ends with the process, however it ends.

        Raises:
            ResultsError: another run is at work in the folder.
        """
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

    def finished(self, trial: Trial) -> bool:
        """Whether a trial is there and whole.

        Raises:
            ResultsError: it was run with other options.
        """
        file = self._folder(trial) / "manifest.json"
        if not file.is_file():
            return False
        try:
            there = json.loads(file.read_text(encoding="utf-8"))
            options = {key: there[key] for key in self._options}
            files = list(there["checksums"])
        except (ValueError, LookupError, TypeError):
            raise ResultsError(
                f"{file}: is no manifest of a trial; remove it, and the trial is run again"
            ) from None
        for key, value in self._options.items():
            if options[key] != value:
                raise ResultsError(
                    f"--out = {self.path}: holds trials run with {key} = {options[key]!r}, now it "
                    f"is {value!r}; choose another folder"
                )
        return all((file.parent / name).is_file() for name in files)

    def write(self, trial: Trial, outcome: Outcome, timeline: "TimelineFile | None") -> None:
        """Writes a trial's metrics and, last, its manifest.

        Args:
            trial: the trial.
            outcome: what came out.
            timeline: what `begin` gave; None for a trial without a timeline, which wasn't begun.
        """
        if timeline:
            timeline.close()
            folder = self._folder(trial)
        else:
            folder = self._clear(trial)
        with _writing(self.path):
            pq.write_table(_metrics(trial, outcome), folder / "metrics.parquet")
            if outcome.label_counts is not None:
                table = _labels(outcome.label_counts, outcome.label_names)
                pq.write_table(table, folder / "labels.parquet")
        files = sorted(file.name for file in folder.glob("*.parquet"))
        manifest = {
            "trial": trial.name,
            "algorithm": trial.setting.algorithm.name,
            "kind": trial.setting.algorithm.table()["kind"],
            "seed": trial.setting.seed,
            "sweep": trial.point,
            "status": status_of(outcome),
            "diverged_at_s": outcome.diverged_at_s,
            "diverged": outcome.diverged,
            "stalled": outcome.stalled,
            "stopped_by": outcome.stopped_by,
            "optimal_loss": outcome.optimal_loss,
            "time_s": outcome.time_s,
            "workers": trial.setting.cluster.size,
            "server": trial.setting.algorithm.has_server,
            **self._options,
            "checksums": {file: _sha256(folder / file) for file in files},
        }
        with _writing(self.path):
            _write(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")

    def begin(self, trial: Trial) -> "TimelineFile":
        """Makes a trial's folder afresh and opens its timeline."""
        folder = self._clear(trial)
        with _writing(self.path):
            return TimelineFile(folder / "timeline.parquet", self.path)

    def _clear(self, trial: Trial) -> Path:
        folder = self._folder(trial)
        with _writing(self.path):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        return folder

    def series(self, trial: Trial, columns: Sequence[str]) -> list[list[float]]:
        """Some columns of a finished trial's evaluations."""
        file = self._folder(trial) / "metrics.parquet"
        table = pq.read_table(file, columns=list(dict.fromkeys(columns)))
        return [table[name].to_pylist() for name in columns]

    def add(self, name: str, content: str | pa.Table) -> Path:
        """Writes one more file, a text or a table, beside the trials."""
        file = self.path / name
        with _writing(self.path):
            if isinstance(content, str):
                _write(file, content)
            else:
                pq.write_table(content, file)
        return file

    def complete(self, trials: list[Trial], scenario: Scenario) -> None:
        """Writes the study's manifest."""
        packages = ("desim", "torch", "numpy", "simpy", "pyarrow")
        manifest = {
            "scenario": scenario.name,
            "seeds": list(scenario.seeds),
            **self._options,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "versions": {package: metadata.version(package) for package in packages},
            "trials": {
                trial.name: _sha256(self._folder(trial) / "manifest.json") for trial in trials
            },
        }
        with _writing(self.path):
            _write(self.path / "manifest.json", json.dumps(manifest, indent=1) + "\n")

    def _folder(self, trial: Trial) -> Path:
        return self.path / "trials" / trial.name


class TimelineFile:
    """A timeline written to parquet piece by piece.

    Args:
        path: the file.
        out: the results folder, for messages.
    """

    def __init__(self, path: Path, out: Path) -> None:
        self._out = out
        self._writer = pq.ParquetWriter(path, _TIMELINE_SCHEMA, compression="zstd")

    def __call__(self, columns: Columns) -> None:
        """Writes a piece, in the order of its intervals' beginnings."""
        order = np.lexsort((columns["worker"], columns["start_s"]))
        ordered = {key: column[order] for key, column in columns.items()}
        kinds = pa.DictionaryArray.from_arrays(pa.array(ordered.pop("kind")), pa.array(KINDS))
        arrays = {**{key: pa.array(column) for key, column in ordered.items()}, "kind": kinds}
        with _writing(self._out):
            self._writer.write_table(pa.table(arrays).select(_TIMELINE_SCHEMA.names))

    def close(self) -> None:
        """Closes the file."""
        with _writing(self._out):
            self._writer.close()


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Tells what the operating system refuses as an error of the results folder."""
    try:
        yield
    except OSError as error:
        raise ResultsError(
            f"--out = {out}: must be a folder that can be written ({error})"
        ) from None


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
    if not {one.name for one in path.iterdir()} <= {"trials", RESULTS_FILE}:
        return False
    try:
        ResultsSchema.read(path)
    except ValueError:
        return False
    return not any((path / "trials").glob("*"))


def _same_kind(path: Path, schema: ResultsSchema) -> None:
    try:
        there = ResultsSchema.read(path).kind
    except ValueError:  # stopped before it was written, or damaged: written again
        return
    if there != schema.kind:
        raise ResultsError(
            f"--out = {path}: holds what `desim {COMMANDS[there]}` wrote; choose another folder"
        )


def status_of(outcome: Outcome) -> str:
    """How a trial ended, in a word."""
    if outcome.diverged_at_s is not None:
        return "diverged"
    return "finished" if outcome.stalled is None else "stalled"


def _metrics(trial: Trial, outcome: Outcome) -> pa.Table:
    rows = [
        {
            "trial": trial.name,
            "algorithm": trial.setting.algorithm.name,
            "seed": trial.setting.seed,
            "time_s": row.time_s,
            **row.values,
            **{key: _cell(value) for key, value in trial.point.items()},
        }
        for row in outcome.rows
    ]
    return pa.Table.from_pylist(rows)


def _labels(counts: npt.NDArray[np.int64], names: tuple[str, ...]) -> pa.Table:
    """A row for each class of which a worker holds samples, and for every class of worker 0.

    With the class's name where it has one.
    """
    listed = counts > 0
    listed[0] = True
    workers, labels = np.nonzero(listed)
    columns = {"worker": workers, "label": labels, "samples": counts[workers, labels]}
    table = pa.table({key: column.astype(np.int32) for key, column in columns.items()})
    return table.append_column("name", pa.array([names[k] for k in labels])) if names else table


def _cell(value: Any) -> Any:
    """A sweep's value as a cell: a member's table as its kind and values, others as JSON text."""
    if isinstance(value, dict) and "kind" in value:
        rest = [f"{key}={_cell(item)}" for key, item in value.items() if key != "kind"]
        return " ".join([str(value["kind"]), *rest])
    return json.dumps(value) if isinstance(value, dict | list) else value


def _same(path: Path, file: Path, scenario: Scenario) -> None:
    try:
        there = tomllib.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ResultsError(f"{file}: is no scenario ({error}); choose another folder") from None
    now = tomllib.loads(tomli_w.dumps(scenario.table()))
    # What is drawn changes no trial.
    old, new = ({k: v for k, v in _flat(t).items() if not _drawn(k)} for t in (there, now))
    for key in [*new, *old]:
        before, after = old.get(key, "nothing"), new.get(key, "nothing")
        if before != after:
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


def _write(file: Path, text: str) -> None:
    """Writes a file so that it is there whole or not at all."""
    part = file.with_name(file.name + ".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, file)


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
