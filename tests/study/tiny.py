"""A scenario so small that it runs in a moment, and what the tests of a whole study share."""

import copy
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

Table = dict[str, Any]


class _Drop:
    def __repr__(self) -> str:  # names of tests are the same in every process
        return "DROP"


#: Takes a key out of a table.
DROP = _Drop()

_TABLE: Table = {
    "name": "tiny",
    "seeds": [0],
    "problem": {
        "dataset": "digits",
        "samples_per_worker": 20,
        "model": {"kind": "mlp", "hidden": [4]},
    },
    "cluster": {"workers": 4, "stragglers": {"kind": "uniform-speed", "low": 10, "high": 90}},
    "network": {
        "topology": "ring",
        "mixing": "metropolis",
        "link": {"kind": "dedicated", "latency_s": 0.01, "bandwidth_bps": 40_000},
    },
    "stop": {"rounds": 3},
    "evaluate": {"every_rounds": 1},
    "algorithms": [
        {
            "kind": "dsgd",
            "label": "DSGD",
            "batch": 5,
            "step_size": {"kind": "constant", "alpha": 0.5},
        },
        {
            "kind": "quantimed-dsgd",
            "label": "QT",
            "expected_batch": 5,
            "step_size": {"kind": "constant", "alpha": 0.5},
            "compressor": {"kind": "random-rounding", "grid": 0.01, "range": 8.0},
        },
    ],
}


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of an error on purpose."""
        assert self.code == 2, self
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("desim: "), self.err
        assert "Traceback" not in self.out
        return lines[0].removeprefix("desim: ")


#: Runs `desim ARGUMENTS`; the fixture `desim` is one.
Call = Callable[..., Ended]


def tiny(changes: Mapping[str, Any] | None = None) -> Table:
    """The tiny scenario's table with other values at dotted keys."""
    table = copy.deepcopy(_TABLE)
    for key, value in (changes or {}).items():
        put(table, key.split("."), value)
    return table


def put(node: Any, path: list[str], value: Any) -> None:
    """Sets, adds or drops what is at a path."""
    *heads, last = path
    for head in heads:
        node = node[int(head)] if isinstance(node, list) else node.setdefault(head, {})
    key = int(last) if isinstance(node, list) else last
    if value is DROP:
        del node[key]
    else:
        node[key] = value


def paths(node: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every place in a table."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    found = []
    for key, value in items:
        place = (*at, str(key))
        found += [place, *(paths(value, place) if isinstance(value, dict | list) else [])]
    return found


def write(file: Path, changes: Mapping[str, Any] | None = None) -> Path:
    """Writes the tiny scenario, changed, into a file."""
    file.write_text(tomli_w.dumps(tiny(changes)), encoding="utf-8")
    return file


def sums(folder: Path) -> dict[str, str]:
    """The checksum of every file in a results folder, the figures left out."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and "report" not in file.relative_to(folder).parts
    }
