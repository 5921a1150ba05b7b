"""A trial's manifest: what it was made of and with, and whether its files are still as it says."""

import json
import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from desim.engine.outcome import Outcome
from desim.scenario.scenario import Trial
from desim.schema.files import sha256
from desim.schema.registry import plain
from desim.schema.results import MANIFEST, METRICS, TRIAL_FILES, checksum, read_manifest
from desim.studies.content import Content


class DamagedError(ValueError):
    """A trial's folder isn't what its manifest says; one phrase that says where."""


@cache
def versions() -> dict[str, str]:
    """What the numbers depend on besides the scenario and its content."""
    packages = {name: metadata.version(name) for name in ("desim", "torch", "numpy")}
    return {**packages, "python": platform.python_version()}


def text(
    folder: Path, trial: Trial, outcome: Outcome, options: dict[str, Any], content: Content
) -> str:
    """The manifest of a trial whose other files are in its folder."""
    setting = trial.setting
    table = {
        "trial": trial.name,
        "algorithm": setting.algorithm.name,
        "kind": setting.algorithm.table()["kind"],
        "seed": setting.seed,
        "sweep": plain(trial.point),
        "status": status_of(outcome),
        "diverged_at_s": outcome.diverged_at_s,
        "diverged": outcome.diverged,
        "stalled": outcome.stalled,
        "stopped_by": outcome.stopped_by,
        "optimal_loss": outcome.optimal_loss,
        "time_s": outcome.time_s,
        "workers": setting.cluster.size,
        "server": setting.algorithm.has_server,
        **options,
        "versions": versions(),
        "content": content,
        "checksums": {
            name: sha256(folder / name) for name in TRIAL_FILES if (folder / name).is_file()
        },
    }
    return json.dumps(table | {MANIFEST: checksum(table)}, indent=1) + "\n"


def read(folder: Path) -> dict[str, Any]:
    """The manifest of a trial's folder; the other files aren't looked at.

    Raises:
        FileNotFoundError: there is none: the trial isn't finished.
        DamagedError: it is none, not whole, or another trial's.
    """
    try:
        table = read_manifest(folder)
    except ValueError as error:
        raise DamagedError(str(error)) from None
    if table.pop(MANIFEST, None) is None:
        raise DamagedError(f"{MANIFEST} has no checksum of its own, as those of an older desim")
    for name in ("versions", "content", "checksums"):
        words = table.get(name)
        if not isinstance(words, dict) or not all(isinstance(word, str) for word in words.values()):
            raise DamagedError(f"{MANIFEST} doesn't say its {name}")
    return table


def check_files(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Compares a trial's files with their checksums.

    Raises:
        DamagedError: one is missing, or another one.
    """
    there = {name for name in TRIAL_FILES if (folder / name).is_file()}
    for name in sorted(there | {METRICS} | set(manifest["checksums"])):
        if name not in there:
            raise DamagedError(f"{name} is missing")
        try:
            found = sha256(folder / name)
        except OSError as error:
            raise DamagedError(f"{name} can't be read: {error.strerror}") from None
        if found != manifest["checksums"].get(name):
            raise DamagedError(f"{name} isn't as it was written")


def status_of(outcome: Outcome) -> str:
    """How a trial ended, in a word."""
    if outcome.diverged_at_s is not None:
        return "diverged"
    return "finished" if outcome.stalled is None else "stalled"
