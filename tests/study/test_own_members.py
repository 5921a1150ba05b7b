"""One file a member: a module of one's own for an axis is seen in run, tune, the table, the page.

Straggler laws have a file of tests of their own, since a fit belongs to them.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tiny import Call, write

MODULES = {
    "my_method": '''
"""Gossip with a push of the gradient."""

from typing import Annotated

from pydantic import Field

import desim


class PlainGossip(desim.Rounds, desim.Consensus):
    """x <- x + epsilon (W x - x) - alpha g."""

    batch: Annotated[int, Field(ge=1)] = 5

    def worker(self, me):
        x = me.initial_model()
        for t in me.rounds():
            gradient = yield from me.compute(x, self.batch)
            message = yield from me.compress(x)
            received = yield from self.exchange(me, t, message)
            mixed = yield from me.mix(x, received)
            x = x + me.consensus_step() * (mixed - x) - me.step_size() * gradient
            me.commit(x)
''',
    "my_compressor": '''
"""Sixteen-bit floats that keep the sign."""

import desim
import torch


class Halves(desim.Compressor):
    """Each number as a 16-bit float."""

    error = "relative"
    unbiased = random = False

    def size_bits(self, parameters):
        return 16 * parameters

    def error_bound(self, parameters):
        return 2.0**-20

    def __call__(self, rows, *, uniform):
        return rows.half().to(rows.dtype)

    def write(self, x, uniform, message):
        message.integers(x.half().view(torch.int16).long() & 0xFFFF, 16)

    def read(self, message, parameters, dtype, uniform):
        raw = torch.from_numpy(message.integers(parameters, 16).astype("uint16").view("int16"))
        return raw.view(torch.float16).to(dtype)
''',
    "my_stragglers": '''
"""Every other worker is slow."""

import desim


class EveryOther(desim.PerStep):
    """20 samples/s, or 10 for odd workers."""

    def speeds(self, streams, worker, steps):
        return (10.0 if worker % 2 else 20.0) + 0.0 * steps

    def mean_speed(self):
        return 15.0

    def mean_slowdown(self):
        return 0.075
''',
    "my_link": '''
"""Links that take a fixed time."""

from typing import Annotated

from pydantic import Field

import desim


class FixedTime(desim.LinkModel):
    """Every message takes so long, whatever its size."""

    takes_s: Annotated[float, Field(gt=0)] = 0.25

    def build(self, deployment):
        return [
            [_Fixed(source, [j], desim.Wire(), 1, self.takes_s) for j in row]
            for source, row in enumerate(deployment.targets)
        ]

    def times_s(self, deployment, size_bits):
        return self.takes_s, self.takes_s


class _Fixed(desim.Link):
    def __init__(self, source, targets, wire, copies, takes_s):
        super().__init__(source, targets, wire, copies)
        self.takes_s = takes_s

    def carry(self, now_s, size_bits):
        departs_s = max(now_s, self.wire.free_s)
        self.wire.free_s = departs_s + self.takes_s
        return departs_s, self.wire.free_s, self.wire.free_s
''',
    "my_dataset": '''
"""Two classes of stripes."""

import desim
import numpy as np


class Stripes(desim.Dataset):
    """Points on two corners, a little apart."""

    def shape(self):
        return desim.Shape((4,), 2)

    def load(self):
        y = np.arange(200) % 2
        x = np.stack([y, 1 - y, y, 1 - y], 1) + np.linspace(-0.3, 0.3, 200)[:, None]
        return desim.Data(x.astype(np.float32), y, x[:40].astype(np.float32), y[:40])
''',
    "my_metric": '''
"""How long the mean model is."""

import desim


class ModelNorm(desim.Metric):
    """||mean model||^2."""

    title = "squared norm"
    good = "low"

    def value(self, evaluation):
        return float(evaluation.mean.double().square().sum())
''',
    "my_stop": '''
"""The end after so many evaluations."""

import desim


class Evaluations(desim.StopRule):
    """Ends a trial at its n-th evaluation."""

    n: int = 4

    def reached(self, rows):
        return len(rows) >= self.n
''',
    "my_step_size": '''
"""Halves alpha at every step."""

import desim


class Halving(desim.StepSize):
    """alpha / 2^t."""

    alpha: float
    epsilon: float = 1.0

    def at(self, step, time_s):
        return self.alpha / 2**step, self.epsilon
''',
    "my_figure": '''
"""What every trial sent."""

from desim.analysis import style

import desim


class BitsSent(desim.ReportFigure):
    """A bar for each trial."""

    title = "What every trial sent"

    def draw(self, data):
        figure = style.new_figure(3.0)
        last = data.metrics.groupby("trial")["bits_sent"].last()
        figure.subplots().bar(last.index, last)
        yield desim.Drawing("bits-by-trial", figure)
''',
}

#: Where each stands in a scenario: its key and table, and whether a search can do without it.
TABLES: dict[str, tuple[str, Any]] = {
    "my_method": (
        "algorithms.1",
        {
            "kind": "my_method:PlainGossip",
            "label": "mine",
            "step_size": {"kind": "constant", "alpha": 0.4},
        },
    ),
    "my_compressor": ("algorithms.1.compressor", {"kind": "my_compressor:Halves"}),
    "my_stragglers": ("cluster.stragglers", {"kind": "my_stragglers:EveryOther"}),
    "my_link": ("network.link", {"kind": "my_link:FixedTime", "takes_s": 0.5}),
    "my_dataset": ("problem.dataset", {"kind": "my_dataset:Stripes"}),
    "my_metric": ("evaluate.metrics", ["my_metric:ModelNorm"]),
    "my_stop": ("stop.rules", [{"kind": "my_stop:Evaluations", "n": 3}]),
    "my_figure": ("report", {"figures": ["my_figure:BitsSent"]}),
    "my_step_size": ("algorithms.1.step_size", {"kind": "my_step_size:Halving", "alpha": 0.5}),
}


@pytest.fixture(params=list(MODULES))
def member(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The name of a module that lies in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / f"{request.param}.py").write_text(MODULES[request.param])
    yield request.param
    sys.modules.pop(request.param, None)


@pytest.fixture
def scenario(member: str, tmp_path: Path) -> Path:
    key, table = TABLES[member]
    return write(tmp_path / "mine.toml", {key: table, "stop": {"rounds": 6}} | _stop(key, table))


def _stop(key: str, table: Any) -> Mapping[str, Any]:
    return {"stop": {"rounds": 6, "rules": table}} if key == "stop.rules" else {}


def test_it_runs_and_is_seen_in_the_table_and_the_page(
    member: str, scenario: Path, desim: Call
) -> None:
    ended = desim("run", scenario, "--out", "out", "--jobs", 1)
    assert ended.code == 0, ended.err
    second = "mine" if member == "my_method" else "QT"
    assert second in ended.out
    page = desim("report", "out", "--html")
    assert page.code == 0, page.err
    html = Path("out/report/report.html").read_text()
    words = re.sub(r"\s+", " ", html)
    kind = json.dumps(TABLES[member][1]).partition(":")[2]
    assert second in words
    resolved = tomllib.loads(Path("out/scenario.toml").read_text())
    assert f"{member}:" in json.dumps(resolved), kind
    metrics = pd.read_parquet(f"out/trials/{second}-seed0/metrics.parquet")
    manifest = json.loads(Path(f"out/trials/{second}-seed0/manifest.json").read_text())
    if member == "my_metric":
        assert (metrics["model_norm"] > 0).all()
    elif member == "my_stop":
        assert (manifest["stopped_by"], len(metrics)) == ("Evaluations", 3)
    elif member == "my_figure":
        assert "<figcaption>What every trial sent</figcaption>" in html
        assert Path("out/report/bits-by-trial.png").is_file()
    else:
        assert f"{member}:" in words
    if member == "my_link":  # 5 samples and 0.5 s in each round
        assert metrics["time_s"].diff().min() > 0.5


def test_it_is_searched(member: str, scenario: Path, desim: Call) -> None:
    words = ("--grid", 3, "--refine", 0, "--jobs", 1)
    metric = ("--metric", "my_metric:ModelNorm") if member == "my_metric" else ()
    ended = desim("tune", scenario, "--out", "tuned", *words, *metric)
    assert ended.code == 0, ended.err
    assert ("mine" if member == "my_method" else "QT") in ended.out
    candidates = pd.read_parquet("tuned/candidates.parquet")
    assert len(candidates) == 2 * 3
    assert candidates["score"].notna().all()
    manifests = [json.loads(file.read_text()) for file in Path("tuned").glob("trials/*/man*.json")]
    assert len(manifests) == 6
    if member == "my_stop":
        assert {manifest["stopped_by"] for manifest in manifests} == {"Evaluations"}
    if member == "my_metric":
        assert candidates["objective"].str.startswith("squared norm").all()
        assert candidates["score"].min() > 0
