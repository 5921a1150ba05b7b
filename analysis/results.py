"""Reads a results folder: the manifests, the metrics and the timelines of its finished trials."""

import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import pandas as pd

from desim.analysis import stored
from desim.analysis.errors import ResultsError
from desim.schema.results import (
    ACTIVITIES,
    COMMANDS,
    LABELS,
    MANIFEST,
    METRICS,
    SCENARIO,
    TIMELINE,
    TRIAL,
    FolderKind,
    ResultsSchema,
)

#: The columns of a timeline that hold numbers.
_TIMELINE = ("worker", "start_s", "end_s", "step", "peer", "bits", "samples")


def load_schema(folder: str | Path, kind: FolderKind | None = "run") -> ResultsSchema:
    """What a results folder holds: its metrics, the keys of its sweep.

    Args:
        folder: what `desim run` wrote, or the command of another kind of folder.
        kind: which kind it must be; None for any.

    Raises:
        ResultsError: the folder does not exist, has no results.json, or is of another kind.
    """
    root = Path(folder)
    if not root.is_dir():
        command = COMMANDS[kind or "run"]
        raise ResultsError(f"{root}: no such folder; pass the one that `desim {command}` wrote")
    try:
        found = ResultsSchema.read(root)
    except ValueError as error:
        raise ResultsError(str(error)) from None
    if kind is not None and found.kind != kind:
        raise ResultsError(
            f"{root}: holds what `desim {COMMANDS[found.kind]}` wrote; pass what `desim "
            f"{COMMANDS[kind]}` wrote"
        )
    return found


def load(folder: str | Path) -> pd.DataFrame:
    """Metrics of all finished trials, one row per evaluation.

    Args:
        folder: what `desim run` wrote.

    Returns:
        The columns of `metrics.parquet` (times in simulated s, sizes in bits) and one column per
        sweep key, sorted by sweep point, algorithm in the order of the scenario, seed and time.

    Raises:
        ResultsError: it is no folder that `desim run` wrote, or holds no finished trial.
    """
    root = Path(folder)
    finished, schema = trials(root), load_schema(root)
    keys = sorted(schema.sweep)
    frames, measured = [], [column.name for column in schema.metrics]
    for row in finished.to_dict("records"):
        file = root / "trials" / row["trial"] / METRICS
        frame = stored.table(file, ["time_s"], optional=measured)
        # The manifest's values win, so that this table and `trials` join on equal types.
        known = {key: row[key] for key in ("trial", "algorithm", "seed", *keys)}
        frames.append(frame.assign(**known).sort_values("time_s"))
    metrics = pd.concat(frames, ignore_index=True)
    # Where the sweep goes over what is measured, trials may lack a column.
    lacking = [column.name for column in schema.metrics if column.name not in metrics]
    return metrics.assign(**dict.fromkeys(lacking, np.nan))


def trials(folder: str | Path) -> pd.DataFrame:
    """One row per finished trial: its manifest, with one column per sweep key.

    Args:
        folder: what `desim run` wrote.

    Returns:
        The columns `desim.schema.results.TRIAL` and the sweep keys, in the order of `load`.
        `status` is "finished", "diverged" or "stalled" (it could not go on, for the reason in
        `stalled`). `diverged_at_s` is NaN for a trial that did not diverge, `diverged` missing
        unless it did so in a message that couldn't be sent, for the reason there, `stalled` missing
        for one that did not stall, `optimal_loss` NaN where it was not asked for. `server` says
        whether there is one node more than `workers`, whose number that is in the timeline;
        `versions` is missing for trials of an older desim.

    Raises:
        ResultsError: it is no folder that `desim run` wrote, or holds no finished trial.
    """
    root = Path(folder)
    keys = sorted(load_schema(root).sweep)
    labels = [label_of(entry) for entry in scenario(root).get("algorithms", [])]
    manifests = [stored.manifest(path.parent) for path in stored.manifests(root)]
    if not manifests:
        raise ResultsError(
            f"{root}: holds no finished trial ({unfinished(root)} unfinished); a finished trial "
            f"has a manifest.json: call `desim run` again, it goes on where it stopped"
        )
    frame = pd.DataFrame(
        [
            {name: manifest.get(name) for name in TRIAL}
            | {key: _scalar(manifest["sweep"].get(key)) for key in keys}
            for manifest in manifests
        ]
    )
    twice = frame.duplicated([*keys, "algorithm", "seed"])
    if twice.any():
        raise ResultsError(
            f"{root}: holds two trials of one algorithm, seed and point of the sweep, such as "
            f"{frame['trial'][twice.idxmax()]!r}; remove the one that doesn't belong there"
        )
    for column in ("diverged_at_s", "optimal_loss"):
        frame[column] = frame[column].astype(float)
    frame["versions"] = frame["versions"].map(_versions)
    for column in ("diverged", "stalled", "versions"):
        frame[column] = frame[column].astype("string")
    frame["server"] = frame["server"].eq(True)  # older results have none
    ranks = {"algorithm": {label: rank for rank, label in enumerate(labels)}}
    ranks |= {key: _natural_ranks(frame[key]) for key in keys}
    order = frame[[*keys, "algorithm", "seed", "trial"]].copy()
    for name, rank in ranks.items():
        order[name] = [rank.get(value, len(rank)) for value in order[name]]
    return frame.loc[order.sort_values(list(order.columns)).index].reset_index(drop=True)


def load_timeline(
    folder: str | Path,
    trial: str,
    kinds: Sequence[str] | None = None,
    workers: Iterable[int] | None = None,
    until_s: float | None = None,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Who did what from when to when in one trial, reading no more of the file than is asked for.

    Args:
        folder: what `desim run` wrote.
        trial: name of a finished trial.
        kinds: of `desim.schema.results.ACTIVITIES`; None for all. `receive` and `drop` (a message
            that was lost) have one row per message, which is its receiver's; `receive` may be by
            far the longest. `down` is a worker that is away. A server has the number of workers as
            its own, and never computes.
        workers: their numbers, a server's too; None for all.
        until_s: only what starts before this simulated time, in s; None for all.
        columns: of `worker, kind, start_s, end_s, step, peer, bits, samples`; None for all.

    Returns:
        Rows in the order of the file, `kind` as a category.

    Raises:
        ResultsError: an unknown kind, or a trial that is not there or not finished.
    """
    home = stored.finished(folder, trial)
    if unknown := sorted(set(kinds or ()) - set(ACTIVITIES)):
        raise ResultsError(f"kinds = {unknown}: a timeline knows only {', '.join(ACTIVITIES)}")
    filters: list[tuple[str, str, object]] = []
    if kinds is not None:
        filters.append(("kind", "in", list(kinds)))
    if workers is not None:
        filters.append(("worker", "in", [int(worker) for worker in workers]))
    if until_s is not None:
        filters.append(("start_s", "<", float(until_s)))
    wanted = {*_TIMELINE, "kind"} if columns is None else set(columns)
    return stored.table(
        home / TIMELINE,
        [name for name in _TIMELINE if name in wanted],
        ["kind"] if "kind" in wanted else (),
        columns=None if columns is None else list(columns),
        filters=filters or None,
        read_dictionary=["kind"],  # millions of rows, a few different words
    )


def load_labels(folder: str | Path, trial: str) -> pd.DataFrame | None:
    """How many samples of each class every worker holds in one trial.

    Args:
        folder: what `desim run` wrote.
        trial: name of a finished trial.

    Returns:
        One row per worker and one column per class, known by its name or number; None where the
        trial had no classes to learn.

    Raises:
        ResultsError: a trial that is not there or not finished, or a table that is damaged.
    """
    file = stored.finished(folder, trial) / LABELS
    if not file.is_file():
        return None
    table = stored.table(file, ["worker", "label", "samples"])
    if not len(table) or not 0 <= table["label"].max() < len(table):  # worker 0 lists every class
        raise ResultsError(f"{file}: is no label distribution; run the trial again")
    counts = table.pivot_table(
        index="worker", columns="label", values="samples", aggfunc="sum", fill_value=0
    )
    counts = counts.reindex(columns=range(int(table["label"].max()) + 1), fill_value=0)
    names = dict(zip(table["label"], table["name"], strict=True)) if "name" in table else {}
    return counts.rename(columns=names)


def scenario(folder: str | Path) -> dict[str, Any]:
    """The scenario of a results folder, as it was resolved.

    Raises:
        ResultsError: it can't be read.
    """
    path = Path(folder) / SCENARIO
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(
            f"{path}: can't be read ({error}); pass a folder that `desim run` or `desim tune` wrote"
        ) from None
    if not table:
        raise ResultsError(
            f"{path}: is damaged (it is empty); remove the folder, or pass another one"
        )
    stored.described(table, path)
    return table


def label_of(entry: Mapping[str, Any]) -> str:
    """The name of one of a scenario's algorithms: its label or kind, or its class."""
    return str(entry.get("label") or str(entry.get("kind", "?")).rpartition(":")[2])


def unfinished(folder: str | Path) -> int:
    """Number of trials that were begun and have no manifest yet; they are left out everywhere."""
    homes = [path for path in Path(folder).glob("trials/*") if path.is_dir()]
    return sum(not (home / MANIFEST).is_file() for home in homes)


def mixed_versions(finished: pd.DataFrame) -> str:
    """Under which versions how many trials were run, where they differ; else nothing.

    Args:
        finished: from `trials`.
    """
    counts = finished["versions"].fillna("unknown").value_counts()
    return "; ".join(f"{count} x {name}" for name, count in counts.items()) * (len(counts) > 1)


def sweep_keys(frame: pd.DataFrame, schema: ResultsSchema) -> list[str]:
    """The sweep's keys that are columns of a table from `load`, `trials` or `curves`."""
    return [key for key in sorted(schema.sweep) if key in frame]


def sweep_points(frame: pd.DataFrame, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The values that these columns have, in the order of the table; one empty point of none."""
    if not keys:
        return [{}]
    return list(frame[list(keys)].drop_duplicates().to_dict("records"))


def at_point(frame: pd.DataFrame, point: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of one point of the sweep."""
    for key, value in point.items():
        frame = frame[frame[key].isna() if pd.isna(value) else frame[key] == value]
    return frame


def _scalar(value: object) -> object:
    """A sweep may run over whole tables of the scenario; a column needs a hashable value."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict) and "kind" in value:  # as desim writes it into the metrics
        rest = [f"{key}={_scalar(item)}" for key, item in value.items() if key != "kind"]
        return " ".join([str(value["kind"]), *rest])
    return json.dumps(value)


def _natural_ranks(values: Iterable[Any]) -> dict[Any, int]:
    """Numbers by size, then words by letter."""
    kinds = {str: 1, NoneType: 2}
    ordered = sorted(set(values), key=lambda v: (kinds.get(type(v), 0), v is not None and v))
    return {value: rank for rank, value in enumerate(ordered)}


def _versions(table: Mapping[str, str] | None) -> str | None:
    """Versions in words; older results have none."""
    return ", ".join(f"{name} {version}" for name, version in table.items()) if table else None
