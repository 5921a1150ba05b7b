"""Results folders with one file that isn't as it was written: damaged, cut, or made by hand."""

import json
import random
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w

from desim.schema.results import MANIFEST, checksum

#: What stands in the place of a value.
VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1.5,
    2**63,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "nonsense",
    "../../../outside",
    "/etc/passwd",
    "a\x00b",
    "\ud800",
    "x" * 5000,
    [],
    {},
    [[]],
    {"kind": "nonsense"},
    ["a", 1],
)

#: What stands in the place of a whole file.
TEXTS = (b"", b"[]", b"{}", b"null", b"\xff\xfe", b"name =", b"[" * 20_000, b"1" * 5_000, b'"x"')


def change(folder: Path, draw: random.Random) -> str:
    """Changes one file of a results folder; which one and how."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    file = draw.choice(files)
    ways: list[Callable[[Path, random.Random], None]] = [_cut, _flip, _replace, _remove]
    if file.suffix in (".json", ".toml"):
        ways += [_edit] * 8
    if file.suffix == ".parquet":
        ways += [_other_columns] * 3
    way = draw.choice(ways)
    way(file, draw)
    return f"{way.__name__[1:]} {file.relative_to(folder)}"


def _cut(file: Path, draw: random.Random) -> None:
    file.write_bytes(file.read_bytes()[: draw.randrange(file.stat().st_size)])


def _flip(file: Path, draw: random.Random) -> None:
    content = bytearray(file.read_bytes())
    for _ in range(draw.choice((1, 1, 5))):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)


def _replace(file: Path, draw: random.Random) -> None:
    file.write_bytes(draw.choice(TEXTS))


def _remove(file: Path, draw: random.Random) -> None:
    file.unlink()


def _edit(file: Path, draw: random.Random) -> None:
    """Another value, or none, at any place in a table; a manifest may say that it is right."""
    text = file.read_text()
    table = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    node: Any = table
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = draw.choice(keys)
        if not (isinstance(node[key], dict | list) and node[key]) or draw.random() < 0.3:
            break
        node = node[key]
    if draw.random() < 0.2:
        del node[key]
    elif isinstance(node, dict) and draw.random() < 0.2:
        node[draw.choice(("../../x", "nonsense", "\x07"))] = node.pop(key)
    else:
        node[key] = draw.choice(VALUES)
    if file.suffix == ".toml":
        try:
            file.write_bytes(tomli_w.dumps(table).encode())
        except (TypeError, ValueError):  # None, or half a character
            file.write_text(text.replace("=", "= =", 1))
        return
    if MANIFEST in table and draw.random() < 0.7:
        del table[MANIFEST]
        table |= {MANIFEST: checksum(table)} if draw.random() < 0.7 else {}
    file.write_text(json.dumps(table))


def _other_columns(file: Path, draw: random.Random) -> None:
    """A table of another making, whose checksum its manifest has."""
    table = pq.read_table(file)
    name = draw.choice(table.column_names)
    place = table.column_names.index(name)
    way = draw.choice(("drop", "words", "empty", "nothing", "huge"))
    if way == "drop":
        table = table.drop_columns([name])
    elif way == "empty":
        table = table.slice(0, 0)
    else:
        value = {"words": "x", "nothing": None, "huge": 2**31 - 1}[way]
        table = table.set_column(place, name, pa.array([value] * len(table)))
    pq.write_table(table, file)
    manifest = file.parent / MANIFEST
    if manifest.is_file() and draw.random() < 0.9:
        import hashlib

        known = json.loads(manifest.read_text())
        del known[MANIFEST]
        known["checksums"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        manifest.write_text(json.dumps(known | {MANIFEST: checksum(known)}))
