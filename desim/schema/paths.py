"""Paths in tables that come from files."""

from pathlib import Path
from typing import Any

#: The keys, in any table, whose values are paths.
PATHS = ("file", "folder", "cache")


def anchored(table: Any, folder: Path, key: str = "") -> Any:
    """The table with every path made absolute: a relative one is meant from its folder."""
    if isinstance(table, dict):
        return {key: anchored(value, folder, key) for key, value in table.items()}
    if isinstance(table, list):
        return [anchored(item, folder, key) for item in table]
    is_path = isinstance(table, str) and key.rpartition(".")[2] in PATHS
    return str(folder / table) if is_path else table
