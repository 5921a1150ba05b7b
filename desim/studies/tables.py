"""Writes a trial's tables as parquet; everything whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from desim.clock.timeline import DTYPES, KINDS, Columns
from desim.engine.outcome import Outcome
from desim.errors import ResultsError
from desim.scenario.scenario import Trial
from desim.schema.registry import plain

#: Ends the name of a file that is being written.
PART = ".part"

_KIND_TYPE = pa.dictionary(pa.int8(), pa.string())
_TIMELINE_SCHEMA = pa.schema(
    [
        (key, _KIND_TYPE if key == "kind" else pa.from_numpy_dtype(np.dtype(dtype)))
        for key, dtype in DTYPES.items()
    ]
)


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Tells what the operating system refuses as an error of the results folder."""
    try:
        yield
    except OSError as error:
        raise ResultsError(
            f"--out = {out}: must be a folder that can be written ({error})"
        ) from None


def write(file: Path, text: str) -> None:
    """Writes a file so that it is there whole or not at all."""
    part = file.with_name(file.name + PART)
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)


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
        with writing(self._out):
            self._writer.write_table(pa.table(arrays).select(_TIMELINE_SCHEMA.names))

    def close(self) -> None:
        """Closes the file."""
        with writing(self._out):
            self._writer.close()


def metrics(trial: Trial, outcome: Outcome) -> pa.Table:
    """A row for each evaluation."""
    rows = [
        {
            "trial": trial.name,
            "algorithm": trial.setting.algorithm.name,
            "seed": trial.setting.seed,
            "time_s": row.time_s,
            **row.values,
            **{key: _cell(plain(value)) for key, value in trial.point.items()},
        }
        for row in outcome.rows
    ]
    return pa.Table.from_pylist(rows)


def labels(counts: npt.NDArray[np.int64], names: tuple[str, ...]) -> pa.Table:
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
