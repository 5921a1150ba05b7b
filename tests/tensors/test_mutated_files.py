"""2,000 mutated files of every reader: one line or sound numbers, and never long.

Each case is named by its reader and seed, so that one that fails can be tried alone.
"""

import itertools
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from data_files import write_cifar10, write_idx, write_images, write_npz

import desim
from desim.errors import DesimError
from desim.measuring.fitting import fit
from desim.schema.registry import find
from desim.streams import Streams

SEEDS = range(2000)
MOST_S = 5.0

#: What mutated text is made of, besides its own bytes.
WORDS = (
    *(b"nan", b"inf", b"-inf", b"1e309", b"-1", b"0", b"1e-320", b"9" * 400, b"0x10", b"1_000"),
    *(b"", b" ", b",", b"\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b'"', b"'", b"#", b"="),
    *(b"[", b"]", b"{", b"}", b"[[", b"true", b"null", b"\xe2\x88\x9e", b"1e400", b"\xd9\xa3"),
)


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """A few damages: flipped bytes, cut, doubled, swapped or filled pieces, strange words."""
    found = bytearray(data)
    for _ in range(random.integers(1, 5)):
        begin, end = sorted(random.integers(0, len(found) + 1, 2))
        end = min(end, begin + int(random.choice([1, 4, 16, 256, 10**6])))
        match random.integers(0, 7):
            case 0 if found:
                found[begin % len(found)] ^= 1 << random.integers(0, 8)
            case 1:
                del found[begin:end]
            case 2:
                found[begin:begin] = found[begin:end]
            case 3:
                found[begin:end] = bytes([random.integers(0, 256)]) * (end - begin)
            case 4:
                found[begin:end] = WORDS[random.integers(0, len(WORDS))]
            case 5:
                del found[begin:]
            case _:
                found[begin:begin] = WORDS[random.integers(0, len(WORDS))]
    return bytes(found)


class Reader(NamedTuple):
    """What is mutated, and how it is read; gives the numbers that a simulation would use."""

    files: list[Path]
    read: Callable[[], list[Any]]


def trace(home: Path, ending: str) -> Reader:
    rows = [(w, 10.0 * k, 1.0 + w + k) for w in range(3) for k in range(4)]
    file = table(
        home / f"trace{ending}", pd.DataFrame(rows, columns=["worker", "start_s", "speed"])
    )

    def read() -> list[Any]:
        law = {"kind": "trace", "file": str(file), "repeat_s": 100.0}
        cluster = desim.Cluster(workers=3, stragglers=law)
        model: Any = cluster.stragglers
        speeds = [model.speed(Streams(0), w) for w in range(3)]
        some = [itertools.islice(model._segments(*model.workers[w]), 10) for w in range(3)]
        assert len(speeds) == 3
        return [model.mean_speed(), *map(list, some)]

    return Reader([file], read)


def edges(home: Path) -> Reader:
    file = home / "graph.edges"
    file.write_text("# a ring\n0 1\n1 2\n2 3\n3 0\n")
    topology = {"kind": "edge-list", "file": str(file)}

    def read() -> list[Any]:
        network = desim.Network(topology=topology, mixing="metropolis", link=INSTANT)
        return [network.weights(4, Streams(0)).matrix().toarray()]

    return Reader([file], read)


INSTANT = {"kind": "dedicated", "bandwidth_bps": 1e9}


def links(home: Path, ending: str) -> Reader:
    pairs = [(i, (i + d) % 4) for i in range(4) for d in (1, 3)]
    frame = pd.DataFrame(pairs, columns=["source", "target"])
    frame = frame.assign(latency_s=0.01, bandwidth_bps=1e6)
    file = table(home / f"links{ending}", frame)

    def read() -> list[Any]:
        link = {"kind": "dedicated", "links": {"file": str(file)}}
        network = desim.Network(topology="ring", mixing="metropolis", link=link)
        network.weights(4, Streams(0))
        model: Any = network.link
        return [list(model.links.links.values())]

    return Reader([file], read)


def steps(home: Path, ending: str) -> Reader:
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"seconds": 1 + random.exponential(size=20), "batch": 4, "worker": 0})
    file = table(home / f"steps{ending}", frame)
    return Reader([file], lambda: [fit(file).best.aic])


def profile(home: Path, kind: str) -> Reader:
    file = home / f"{kind}.toml"
    if kind == "hardware":
        file.write_text(
            "# a machine\nspeed_sps = 50.0\nmemory_bytes_per_s = 1e10\nup_bps = 1e9\n"
            '[stragglers]\nkind = "shifted-exponential"\nshift = 0.5\nmean = 0.5\n'
        )

        def read() -> list[Any]:
            cluster = desim.Cluster(workers=2, hardware={"file": str(file)})
            fleet = cluster.fleet(None)
            [machine] = [one.resolved() for one in cluster.hardware]
            return [fleet.mean_speed_sps(), machine.speed_sps]

        return Reader([file], read)
    file.write_text("# a network\nlatency_s = 1e-3\nbandwidth_bps = {low = 1e6, high = 2e6}\n")

    def read_network() -> list[Any]:
        link = {"kind": "fifo", "file": str(file)}
        network = desim.Network(topology="ring", mixing="metropolis", link=link)
        network.weights(4, Streams(0))
        return [network.link.losses()[0]]

    return Reader([file], read_network)


def dataset(kind: str, fields: dict[str, Any], home: Path) -> Reader:
    def read() -> list[Any]:
        data = find("datasets", kind)(**fields).load()  # type: ignore[attr-defined]
        return [data.train_x, data.train_y, data.test_x, data.test_y]

    return Reader(sorted(file for file in home.rglob("*") if file.is_file()), read)


def table(file: Path, frame: pd.DataFrame) -> Path:
    if file.suffix == ".parquet":
        frame.to_parquet(file, index=False)
    else:
        frame.to_csv(file, index=False)
    return file


READERS: dict[str, Callable[[Path], Reader]] = {
    "trace.csv": lambda home: trace(home, ".csv"),
    "trace.parquet": lambda home: trace(home, ".parquet"),
    "edges": edges,
    "links.csv": lambda home: links(home, ".csv"),
    "links.parquet": lambda home: links(home, ".parquet"),
    "steps.csv": lambda home: steps(home, ".csv"),
    "steps.parquet": lambda home: steps(home, ".parquet"),
    "hardware": lambda home: profile(home, "hardware"),
    "network": lambda home: profile(home, "network"),
    "npz": lambda home: dataset("npz", write_npz(home), home),
    "idx": lambda home: dataset("mnist", write_idx(home, zipped=False), home),
    "idx.gz": lambda home: dataset("mnist", write_idx(home), home),
    "cifar10": lambda home: dataset("cifar10", write_cifar10(home), home),
    "cifar10.bin": lambda home: dataset("cifar10", write_cifar10(home, binary=True), home),
    "images": lambda home: dataset("image-folder", write_images(home, each=2), home),
}


def outcome(reader: Reader, seed: int) -> str:
    """What a mutated file leads to: a line, or nothing where sound numbers come out."""
    random = np.random.default_rng(seed)
    file = reader.files[random.integers(0, len(reader.files))]
    sound = file.read_bytes()
    file.write_bytes(mutated(sound, random))
    begin = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = reader.read()
        for part in found:
            assert np.isfinite(np.asarray(part, dtype=np.float64)).all(), f"{seed}: {part}"
        line = ""
    except DesimError as error:
        line = str(error)
        assert 0 < len(line) < 1500, f"{seed}: {line}"
        assert line.isprintable(), f"{seed}: {line!r}"
    finally:
        file.write_bytes(sound)
    assert time.process_time() - begin < MOST_S, seed
    return line


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_every_mutated_file_is_refused_in_a_line_or_read_as_numbers(
    name: str, tmp_path: Path
) -> None:
    reader = READERS[name](tmp_path)
    for part in reader.read():
        assert np.isfinite(np.asarray(part, dtype=np.float64)).all()
    lines = [outcome(reader, seed) for seed in SEEDS]
    assert sum(map(bool, lines)) > len(lines) / 20  # most of them are damaged indeed


@pytest.mark.parametrize("name", READERS)
def test_a_few_of_them(name: str, tmp_path: Path) -> None:
    reader = READERS[name](tmp_path)
    for seed in range(10):
        outcome(reader, seed)
