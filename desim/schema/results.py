"""What a results folder holds: the one description that desim writes and the analysis reads.

DIR/results.json                          which kind of folder it is, its metrics, its sweep
DIR/scenario.toml                         the scenario as resolved
DIR/manifest.json                         versions and checksums, when all is done
DIR/trials/TRIAL/metrics.parquet          a row per evaluation: INDEX, the metrics, the sweep
DIR/trials/TRIAL/timeline.parquet         a row per interval: TIMELINE
DIR/trials/TRIAL/labels.parquet           the label distribution, if targets are classes
DIR/trials/TRIAL/manifest.json            TRIAL, renamed into place last: the trial is whole
DIR/candidates.parquet, tuned.toml        of a search: what was tried, and the best
DIR/fit.parquet, ...                      of a fit
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

from desim.schema.phrases import in_words, short

FILE = "results.json"

#: The files of a trial; the first is always there.
TRIAL_FILES = METRICS, TIMELINE, LABELS = "metrics.parquet", "timeline.parquet", "labels.parquet"

#: The scenario as resolved.
SCENARIO = "scenario.toml"

#: Of a trial, and of a study.
MANIFEST = "manifest.json"

#: What `desim run`, `desim tune` and `desim fit` write.
FolderKind = Literal["run", "tuning", "fit"]

#: The command that writes each.
COMMANDS: dict[FolderKind, str] = {"run": "run", "tuning": "tune", "fit": "fit"}

#: Whether low or high values of a metric are good; None for one that is neither, such as a count.
Good = Literal["low", "high"]

#: The columns of metrics.parquet that say which evaluation a row is.
INDEX = ("trial", "algorithm", "seed", "time_s")

#: What a trial's manifest says of it; one column each in `desim.analysis.trials`.
TRIAL = (
    "trial",
    "algorithm",
    "kind",
    "seed",
    "status",
    "diverged_at_s",
    "diverged",
    "stalled",
    "stopped_by",
    "optimal_loss",
    "time_s",
    "workers",
    "server",
    "train",
    "versions",
)

#: What a worker does in an interval of the timeline; `receive` and `drop` (a message that was lost)
#: are the receiver's.
ACTIVITIES = ("compute", "wait", "send", "receive", "average", "compress", "down", "drop")


@dataclass(frozen=True)
class Column:
    """A metric as a column of metrics.parquet.

    Attributes:
        name: the column's.
        title: in words, for tables and axes.
        unit: of its values; empty for a pure number.
        good: which values are good, or None.
        clock: whether it is measured without training, too.
        standard: whether every trial measures it, asked for or not.
    """

    name: str
    title: str
    unit: str = ""
    good: Good | None = None
    clock: bool = False
    standard: bool = False

    def label(self) -> str:
        """The title with the unit, for an axis."""
        return f"{self.title} [{self.unit}]" if self.unit else self.title


def column_name(metric: str) -> str:
    """The column of a metric that is known by its kind, label or class: `a:MyLoss` is `my_loss`."""
    return re.sub(r"\W+", "_", in_words(metric.rpartition(":")[2]) if ":" in metric else metric)


def checksum(manifest: Mapping[str, Any]) -> str:
    """Of all that a trial's manifest says besides: SHA-256, in hex."""
    return hashlib.sha256(json.dumps(manifest).encode()).hexdigest()


def read_manifest(trial: Path) -> dict[str, Any]:
    """What stands in the manifest of a trial's folder, its own checksum under MANIFEST.

    Raises:
        FileNotFoundError: there is none: the trial isn't finished.
        ValueError: it is none, isn't as it was written, or is another trial's; in one phrase.
    """
    file = trial / MANIFEST
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(file) from None
    except (OSError, ValueError, RecursionError):
        raise ValueError(f"{MANIFEST} can't be read") from None
    if not isinstance(table, dict) or not table:
        raise ValueError(f"{MANIFEST} is no table")
    said = {name: value for name, value in table.items() if name != MANIFEST}
    if table.get(MANIFEST, checksum(said)) != checksum(said):
        raise ValueError(f"{MANIFEST} isn't as it was written")
    if "trial" not in table:
        raise ValueError(f"{MANIFEST} doesn't say its trial")
    if table["trial"] != trial.name:
        raise ValueError(f"{MANIFEST} is that of {short(table['trial'])}")
    return table


@dataclass(frozen=True)
class ResultsSchema:
    """What a results folder is.

    Attributes:
        kind: which command wrote it.
        metrics: the columns of metrics.parquet besides INDEX and the sweep's, in their order.
        sweep: the dotted keys of the sweep, a column each.
        metric: the column that tables and figures are about unless another one is asked for.
    """

    kind: FolderKind
    metrics: tuple[Column, ...] = ()
    sweep: tuple[str, ...] = field(default=())
    metric: str = "train_loss"

    def column(self, name: str) -> Column:
        """A metric by its column's name, its kind, label or class: `test-accuracy`, `a:MyMetric`.

        Raises:
            KeyError: it isn't measured here.
        """
        wanted = column_name(name)
        for column in self.metrics:
            if column.name == wanted:
                return column
        raise KeyError(name)

    def _check(self) -> None:
        """Raises ValueError for what can't stand there."""
        words = [self.metric, *self.sweep]
        words += [word for one in self.metrics for word in (one.name, one.title, one.unit)]
        for word in words:
            if not isinstance(word, str) or not word.isprintable():
                raise ValueError(f"{short(word)} must be words")
        if not isinstance(self.kind, str) or self.kind not in COMMANDS:
            raise ValueError(f"kind = {short(self.kind)}: must be one of {', '.join(COMMANDS)}")
        names = [one.name for one in self.metrics]
        taken = [*names, *INDEX, *self.sweep]
        if len(set(taken)) < len(taken) or not set(self.sweep).isdisjoint(TRIAL):
            raise ValueError("two columns have one name")
        if names and self.metric not in names:
            raise ValueError(f"metric = {self.metric!r}: must be one of {', '.join(names)}")
        for one in self.metrics:
            if one.good not in (None, "low", "high") or not one.name:
                raise ValueError(f"metrics.{one.name}: must have a name; good is 'low' or 'high'")
            if not isinstance(one.clock, bool) or not isinstance(one.standard, bool):
                raise ValueError(f"metrics.{one.name}: clock and standard must be true or false")

    def write(self, folder: Path) -> None:
        """Writes results.json into a folder, whole or not at all."""
        part = folder / f"{FILE}.part"
        try:
            part.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
            part.replace(folder / FILE)
        finally:
            part.unlink(missing_ok=True)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads a folder's results.json.

        Raises:
            ValueError: one line: there is none, or it is none.
        """
        file = folder / FILE
        try:
            return cls._made(json.loads(file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise ValueError(
                f"{folder}: has no {FILE}, so it is no results folder of this version; pass one "
                "that `desim run`, `desim tune` or `desim fit` wrote"
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise ValueError(
                f"{file}: can't be read as a description of results ({error})"
            ) from None

    @classmethod
    def _made(cls, table: object) -> Self:
        """What results.json stands for; raises ValueError for what it can't hold."""
        top = _table_of("it", table, "kind", "metrics", "sweep", "metric")
        if not isinstance(top["metrics"], list) or not isinstance(top["sweep"], list):
            raise ValueError("metrics and sweep must be lists")
        columns = [
            _table_of(f"metrics.{i}", column, "name", "title")
            for i, column in enumerate(top["metrics"])
        ]
        known = {one.name for one in fields(Column)}
        if unknown := [short(key) for column in columns for key in column if key not in known]:
            raise ValueError(f"no metric has {unknown[0]}")
        made = cls(
            top["kind"], tuple(Column(**one) for one in columns), tuple(top["sweep"]), top["metric"]
        )
        made._check()
        return made


def _table_of(where: str, value: object, *keys: str) -> dict[str, Any]:
    """A value that is a table with these keys; else raises ValueError."""
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be a table")
    if missing := [key for key in keys if key not in value]:
        raise ValueError(f"{where} has no {missing[0]}")
    return value
