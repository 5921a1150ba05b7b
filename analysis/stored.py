"""Reads the files of a results folder, which may be damaged or of another's making.

Whatever is wrong with one is a ResultsError in one line. Names that stand in files are never used
as paths.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from desim.analysis.errors import ResultsError
from desim.schema.files import sha256
from desim.schema.phrases import one_line, short
from desim.schema.results import MANIFEST, TRIAL_FILES, read_manifest

#: What a way out says of a damaged trial.
_ANEW = "call the same `desim run` or `desim tune` again, which runs a damaged trial anew"

#: As many workers as a scenario may have.
_MOST_WORKERS = 1_000_000


def _text(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a character
        return False
    return True


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e308


def _count(most: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and 0 <= value < most


def _or_nothing(rule: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or rule(value)


def _texts(value: object) -> bool:
    return isinstance(value, dict) and all(_text(part) for pair in value.items() for part in pair)


def _sweep(value: object) -> bool:
    return isinstance(value, dict) and all(map(_text, value)) and _text(json.dumps(value))


def _truth(value: object) -> bool:
    return isinstance(value, bool)


#: What each entry of a trial's manifest must be.
_RULES: dict[str, Callable[[object], bool]] = {
    "trial": _text,
    "algorithm": _text,
    "kind": _text,
    "seed": _count(2**63),
    "sweep": _sweep,
    "status": lambda value: value in ("finished", "diverged", "stalled"),
    "diverged_at_s": _or_nothing(_number),
    "diverged": _or_nothing(_text),
    "stalled": _or_nothing(_text),
    "stopped_by": _text,
    "optimal_loss": _or_nothing(lambda value: isinstance(value, float) or _number(value)),
    "time_s": _number,
    "workers": _count(_MOST_WORKERS + 1),
    "server": _or_nothing(_truth),
    "train": _truth,
    "versions": _or_nothing(_texts),
    "checksums": _texts,
}


def manifest(home: Path) -> dict[str, Any]:
    """The manifest in a trial's folder.

    Raises:
        ResultsError: it is none, isn't as it was written, or is another trial's.
    """
    file = home / MANIFEST
    try:
        table = read_manifest(home)
    except (OSError, ValueError) as error:
        raise ResultsError(f"{home}: {one_line(error)}; {_ANEW}") from None
    for name, rule in _RULES.items():
        if not rule(table.get(name)):
            wrong = (
                f"{name} = {short(table[name])}: can't stand"
                if name in table
                else (f"has no {name}, which must stand")
            )
            raise ResultsError(f"{file}: {wrong} in a manifest; {_ANEW}")
    return table


def study(root: Path) -> dict[str, Any]:
    """The manifest of a study; empty where it isn't complete.

    Raises:
        ResultsError: it is none.
    """
    file = root / MANIFEST
    if not file.is_file():
        return {}
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(f"{file}: can't be read ({one_line(error)}); {_ANEW}") from None
    rules = {"python": _text, "machine": _text, "versions": _texts}
    if not isinstance(table, dict) or not all(
        rule(table[name]) for name, rule in rules.items() if name in table
    ):
        raise ResultsError(f"{file}: is no manifest of a study; {_ANEW}")
    return table


def finished(folder: str | Path, trial: str) -> Path:
    """The folder of a finished trial.

    Raises:
        ResultsError: there is none of this name.
    """
    homes = {file.parent.name: file.parent for file in manifests(Path(folder))}
    if trial not in homes:
        raise ResultsError(
            f"trial {trial!r}: no finished trial of this name in {folder}; "
            f"`analysis.trials` lists those there are"
        )
    return homes[trial]


def manifests(root: Path) -> list[Path]:
    """The manifests of all finished trials."""
    return list(root.glob(f"trials/*/{MANIFEST}"))


def table(
    file: Path,
    numbers: Sequence[str],
    words: Sequence[str] = (),
    *,
    optional: Sequence[str] = (),
    **reading: Any,
) -> pd.DataFrame:
    """A parquet file as it was written.

    Args:
        file: of a trial, of which the manifest has a checksum; or of the folder, without.
        numbers, words: columns that must be there.
        optional: columns that must hold numbers if they are there.
        reading: as `pyarrow.parquet.read_table` takes it.

    Raises:
        ResultsError: it can't be read, isn't as it was written, or lacks a column.
    """
    try:
        if file.name in TRIAL_FILES:
            _compare(file)
        frame: pd.DataFrame = pq.read_table(file, **reading).to_pandas()
    except (OSError, ValueError, TypeError, LookupError, pa.ArrowException) as error:
        raise ResultsError(f"{file}: can't be read ({one_line(error)}); {_ANEW}") from None
    for name in (*numbers, *words, *(one for one in optional if one in frame)):
        if name not in frame:
            raise ResultsError(f"{file}: has no column {name!r}; {_ANEW}")
        column = frame[name]
        numeric = pd.api.types.is_numeric_dtype(column) or column.isna().all()
        if name not in words and not numeric:
            kind = column.dtype
            raise ResultsError(f"{file}: its column {name!r} holds {kind} instead of numbers")
        if name not in words and column.dtype == object:  # nothing at all
            frame[name] = np.nan
    return frame


def _compare(file: Path) -> None:
    """Raises ValueError where a trial's file isn't what its manifest says."""
    known = manifest(file.parent)["checksums"].get(file.name)
    stat = file.stat()
    if known is not None and known != _sha256(file, stat.st_size, stat.st_mtime_ns):
        raise ValueError("it isn't as it was written")


@lru_cache
def _sha256(file: Path, size: int, changed_ns: int) -> str:
    """A file is read again only when it has changed."""
    return sha256(file)


def described(table: Mapping[str, Any], file: Path) -> None:
    """Checks that a scenario has the form of one, as far as the analysis goes by it.

    Raises:
        ResultsError: it hasn't.
    """
    kinds: dict[str, type] = {
        **dict.fromkeys(("problem", "cluster", "network", "faults", "stop", "evaluate"), dict),
        "name": str,
        "seeds": list,
        "algorithms": list,
        "sweep": dict,
        "report": dict,
    }
    wrong = [name for name, kind in kinds.items() if not isinstance(table.get(name, kind()), kind)]
    algorithms = table.get("algorithms", [])
    if not wrong and not all(_method(entry) for entry in algorithms):
        wrong = ["algorithms"]
    if not wrong and not all(
        isinstance(values, list) for values in table.get("sweep", {}).values()
    ):
        wrong = ["sweep"]
    if wrong:
        raise ResultsError(
            f"{file}: {wrong[0]} = {short(table[wrong[0]])}: can't stand in a scenario; pass a "
            "folder that `desim run` or `desim tune` wrote"
        )


def _method(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("step_size", {}), dict):
        return False
    return isinstance(entry.get("kind", ""), str) and isinstance(entry.get("label", ""), str)
