"""Fabricated results folders: what the simulator would have written, with curves known in advance.

A run is described by its label, seed and evaluations; nothing here imports desim.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w

SCHEMA = pa.schema(
    [
        ("worker", pa.int32()),
        ("kind", pa.string()),
        ("start_s", pa.float64()),
        ("end_s", pa.float64()),
        ("step", pa.int32()),
        ("peer", pa.int32()),
        ("bits", pa.int64()),
        ("samples", pa.int32()),
    ]
)
#: The standard metrics: name, title, unit, whether low or high is good, measured without training.
STANDARD = (
    ("round", "round", "", None, True),
    ("steps", "local steps", "", None, True),
    ("samples", "samples", "", None, True),
    ("bits_sent", "bits sent", "bit", None, True),
    ("train_loss", "training loss", "", "low", False),
    ("test_loss", "test loss", "", "low", False),
    ("test_accuracy", "test accuracy", "", "high", False),
    ("grad_norm_sq", "squared gradient norm", "", "low", False),
    ("consensus_error", "consensus error", "", "low", False),
)
WORKERS = 3
ROUND_BITS = 1000
SERVER = WORKERS
WHY = "at 8 s nothing can happen any more: worker 0 waits for 2; 2 away"


def barrier_rounds(rounds: int = 4) -> list[dict[str, Any]]:
    """Three workers that take 1, 2 and 3 s for a batch of 6, then send for 1 s, then wait."""
    rows = []
    for step in range(rounds):
        start = 4.0 * step
        for worker in range(WORKERS):
            ready = start + worker + 1
            shared = {"worker": worker, "step": step, "peer": -1, "bits": 0, "samples": 0}
            rows.append(shared | span("compute", start, ready) | {"samples": 6})
            rows.append(shared | span("send", ready, ready + 1) | {"bits": ROUND_BITS})
            if worker < WORKERS - 1:
                rows.append(shared | span("wait", ready + 1, start + 4))
            peer = (worker + 1) % WORKERS
            rows.append(shared | span("receive", ready, ready + 1) | {"peer": peer, "bits": 500})
    return rows


def faulty_rounds() -> list[dict[str, Any]]:
    """The same; worker 1 compresses, crashes at 5 s and is away until 7, and misses a message."""
    rows = [row for row in barrier_rounds() if row["worker"] != 1 or row["step"] != 1]
    own = {"worker": 1, "step": 1, "peer": -1, "bits": 0, "samples": 0}
    return [
        *rows,
        own | span("compute", 4, 5),
        own | span("down", 5, 7),
        own | span("drop", 4.5, 5.5) | {"peer": 0, "bits": 500},
        own | span("compress", 7, 7.5),
    ]


def served_rounds(rounds: int = 4) -> list[dict[str, Any]]:
    """Rounds of 4 s with a server, every message told of by itself.

    Workers take 1, 1.5 and 2 s for a batch of 6, send for half a second and wait. The server wakes
    up at each arrival; with the last, at 2.5 s, it steps and sends to one after another.
    """
    made = []
    for step in range(rounds):
        start = 4.0 * step
        arrivals = [start + 1.5 + worker / 2 for worker in range(WORKERS)]
        idle = {"worker": SERVER, "step": step, "peer": -1, "bits": 0, "samples": 0}
        for begin, end in pairwise([start, *arrivals]):
            made.append(idle | span("wait", begin, end))
        for worker, arrival in enumerate(arrivals):
            own = idle | {"worker": worker}
            made.append(own | span("compute", start, arrival - 0.5) | {"samples": 6})
            sent = span("send", arrival - 0.5, arrival) | {"bits": 500}
            made.append(own | sent)
            made.append(idle | sent | {"kind": "receive", "peer": worker})
            answer = start + 2.5 + worker / 2
            made.append(own | span("wait", arrival, answer + 0.5))
            told = span("send", answer, answer + 0.5) | {"bits": 500, "step": step + 1}
            made.append(idle | told)
            made.append(idle | told | {"worker": worker, "kind": "receive", "peer": SERVER})
    return made


def span(kind: str, start_s: float, end_s: float) -> dict[str, Any]:
    return {"kind": kind, "start_s": start_s, "end_s": end_s}


class Fabricator:
    """Writes trials into a results folder, one call each; `about` is what the results are about."""

    def __init__(self, folder: Path, labels: Sequence[str]) -> None:
        self.folder = folder
        self.about = "train_loss"
        self._metrics = [
            {"name": name, "title": title, "unit": unit, "good": good, "clock": clock}
            | {"standard": True}
            for name, title, unit, good, clock in STANDARD
        ]
        self._sweep: dict[str, None] = {}
        folder.mkdir()
        entries = [
            f'[[algorithms]]\nkind = "dsgd"\n{tomli_w.dumps({"label": label})}' for label in labels
        ]
        text = 'name = "fabricated"\n' + "".join(entries)
        (folder / "scenario.toml").write_text(text, encoding="utf-8")
        (folder / "manifest.json").write_text("{}")

    def measure(self, name: str, good: str | None, **more: Any) -> None:
        """One more metric, of which trials then tell."""
        column = {"name": name, "title": name.replace("_", " "), "unit": "", "good": good}
        self._metrics.append(column | {"clock": False, "standard": False} | more)

    def describe(self, kind: str = "run") -> None:
        """Writes results.json."""
        table = {"kind": kind, "metrics": self._metrics, "sweep": list(self._sweep)}
        text = json.dumps(table | {"metric": self.about})
        (self.folder / "results.json").write_text(text)

    def trial(
        self,
        label: str,
        seed: int,
        time_s: Sequence[float],
        loss: Sequence[float],
        *,
        sweep: Mapping[str, Any] | None = None,
        diverged_at_s: float | None = None,
        diverged: str | None = None,
        server: bool = False,
        stalled: str | None = None,
        time_end_s: float = 16.0,
        optimal_loss: float | None = None,
        train: bool = True,
        finished: bool = True,
        timeline: list[dict[str, Any]] | None = None,
        metrics: Mapping[str, Any] | None = None,
    ) -> str:
        point = dict(sweep or {})
        self._sweep |= dict.fromkeys(point)
        self.describe()
        name = "_".join(
            [label.replace("/", "-"), *(f"{value}" for value in point.values()), str(seed)]
        )
        home = self.folder / "trials" / name
        home.mkdir(parents=True)
        times, losses = np.asarray(time_s, dtype=float), np.asarray(loss, dtype=float)
        rounds = times / 4
        nothing = np.full(len(times), np.nan)
        columns = {
            "trial": [name] * len(times),
            "algorithm": [label] * len(times),
            "seed": [seed] * len(times),
            "time_s": times,
            "round": rounds,
            "steps": (rounds * WORKERS).astype(int),
            "samples": (rounds * WORKERS * 6).astype(int),
            "bits_sent": (rounds * ROUND_BITS).astype(np.int64),
            "train_loss": losses,
            **{key: [value] * len(times) for key, value in point.items()},
        }
        for column in self._metrics:
            columns.setdefault(column["name"], nothing)
        columns |= {key: np.asarray(values, dtype=float) for key, values in (metrics or {}).items()}
        pq.write_table(pa.table(columns), home / "metrics.parquet")
        if timeline is None:
            timeline = served_rounds() if server else barrier_rounds()
        pq.write_table(pa.Table.from_pylist(timeline, schema=SCHEMA), home / "timeline.parquet")
        status = "stalled" if stalled else "finished"
        if diverged_at_s is not None:
            status = "diverged"
        manifest = {
            "trial": name,
            "algorithm": label,
            "kind": "dsgd",
            "seed": seed,
            "sweep": point,
            "status": status,
            "diverged_at_s": diverged_at_s,
            "stalled": stalled,
            "stopped_by": "time_s" if status == "finished" else status,
            "optimal_loss": optimal_loss,
            "time_s": time_end_s,
            "workers": WORKERS,
            "train": train,
            "checksums": {},
        }
        # Older results know neither of these.
        manifest |= {"server": True} if server else {}
        manifest |= {"diverged": diverged} if diverged else {}
        if finished:
            (home / "manifest.json").write_text(json.dumps(manifest))
        return name

    def decay(self, label: str, seed: int, tau_s: float, evaluations: int = 9, **more: Any) -> str:
        """loss(t) = 2 exp(-t / tau_s), evaluated at every half tau: 2 exp(-k) is met at k tau."""
        time_s = np.arange(evaluations) * tau_s / 2
        return self.trial(label, seed, time_s, 2 * np.exp(-time_s / tau_s), **more)
