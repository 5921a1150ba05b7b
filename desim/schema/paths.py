"""Paths in tables that come from files, and what may lie behind a path."""

import stat
from pathlib import Path
from typing import Any

from desim.schema.limits import broken
from desim.schema.phrases import short, spelled

#: The keys, in any table, whose values are paths.
PATHS = ("file", "folder", "cache")


def anchored(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The table with every path made absolute: a relative one is meant from its folder.

    Raises:
        ValueError: a value that can't stand in any table, or a table nested too deep.
    """
    if found := broken(table):
        raise ValueError(f"{spelled(found.key)} = {short(found.value)}: {found.rule}")
    return {key: _anchored(value, folder, key) for key, value in table.items()}


def _anchored(value: Any, folder: Path, key: str) -> Any:
    if isinstance(value, dict):
        return {key: _anchored(item, folder, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_anchored(item, folder, key) for item in value]
    is_path = isinstance(value, str) and key.rpartition(".")[2] in PATHS
    return str(folder / value) if is_path else value


def regular(path: str | Path) -> Path:
    """The path, if a file of data lies behind it; nothing is opened, since a pipe may wait forever.

    Raises:
        OSError: there is none, or it is a folder, a pipe, a device or a socket; or no path.
    """
    try:
        mode = Path(path).stat().st_mode
    except ValueError as error:  # a path with NUL in it
        raise OSError(f"{error}: {short(str(path))}") from None
    if not stat.S_ISREG(mode):
        kinds = {
            stat.S_IFDIR: "a folder",
            stat.S_IFIFO: "a pipe",
            stat.S_IFCHR: "a device",
            stat.S_IFBLK: "a device",
            stat.S_IFSOCK: "a socket",
        }
        raise OSError(f"{short(str(path))} is {kinds.get(stat.S_IFMT(mode), 'special')}, no file")
    return Path(path)
