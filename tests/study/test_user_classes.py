"""A scenario may name a class of the user's own; it travels to the other processes too."""

import json
import sys
from pathlib import Path

import pytest
from tiny import Call, sums, tiny, write

import desim as package

SOURCE = '''
import os
import signal
from typing import Annotated

from pydantic import Field

import networkx as nx
import numpy as np
import torch
from torch import nn

import desim


class MyDSGD(desim.Algorithm):
    """Mixes, then steps."""

    batch: Annotated[int, Field(ge=1)] = 5

    def worker(self, me):
        alpha = me.step_size()
        x = me.initial_model()
        for t in me.rounds():
            gradient = yield from me.compute(x, self.batch)
            me.broadcast((yield from me.compress(x, desim.Compressor.parse("none"))), tag=t)
            received = yield from me.gather(tag=t)
            yield from me.barrier()
            x = (yield from me.mix(x, received)) - alpha * gradient
            me.commit(x)


class MySpeed(desim.PerStep):
    """Worker i does 10 (i + 1) samples a second."""

    def speeds(self, streams, worker, steps):
        return 10.0 * (worker + 1) + 0.0 * steps

    def mean_speed(self):
        return 25.0

    def mean_slowdown(self):
        return 0.05


class Path(desim.Topology):
    """A path."""

    def draw(self, workers, random):
        return nx.path_graph(workers)


class Halves(desim.Mixing):
    """A third for each neighbour."""

    def off_diagonal(self, graph):
        return tuple(np.full(len(row), 1 / 3) for row in graph.neighbours)


class Stripes(desim.Dataset):
    """Two classes of stripes."""

    def shape(self):
        return desim.Shape((4,), 2)

    def load(self):
        y = np.arange(100) % 2
        x = np.stack([y, 1 - y, y, 1 - y], 1).astype(np.float32)
        return desim.Data(x, y, x[:10], y[:10])


class Tiny(desim.Model):
    """One layer."""

    def build(self, shape):
        return nn.Linear(shape.inputs[0], shape.outputs)


class Squares(desim.Loss):
    """The squared distance from the class's corner."""

    def __call__(self, outputs, targets):
        return (outputs - torch.eye(2)[targets]).square().sum(-1)


class AsTheyLie(desim.Partition):
    """In turn."""

    def assign(self, classes, workers, samples, random):
        return list(np.arange(workers * samples).reshape(workers, samples))


class Halved(desim.StepSize):
    """Half of alpha."""

    alpha: float

    def at(self, step, time_s):
        return self.alpha / 2, 1.0


class Signs(desim.Compressor):
    """sign(x) of one size."""

    size: float
    error = "bounded"
    unbiased = random = False
    keeps_zeros = False

    def size_bits(self, parameters):
        return parameters

    def error_bound(self, parameters):
        return 4.0 * parameters

    def __call__(self, rows, *, uniform):
        return torch.full_like(rows, self.size).copysign(rows)

    def write(self, x, uniform, message):
        message.integers(x.signbit(), 1)

    def read(self, message, parameters, dtype, uniform):
        signs = 1 - 2 * torch.from_numpy(message.integers(parameters, 1))
        return self.size * signs.to(dtype)


class Averager(desim.Algorithm):
    """Workers send models, the server their mean."""

    batch: int = 5

    def worker(self, me):
        alpha = me.step_size()
        x = me.initial_model()
        for t in me.rounds():
            x = me.record(x - alpha * (yield from me.compute(x, self.batch)))
            me.tell(me.workers, (yield from me.compress(x)), ("model", t))
            [message] = yield from me.hear(("mean", t))
            x = message.content
            me.commit(x)

    def server(self, me):
        for t in me.rounds():
            messages = yield from me.hear(("model", t), me.workers)
            x = me.record((yield from me.mean([message.content for message in messages])))
            me.commit(x)
            me.tell_all(me.targets, (yield from me.compress(x)), ("mean", t))


class Slow(desim.Link):
    """A tenth of a second for every message."""

    def carry(self, now_s, size_bits):
        return now_s, now_s, now_s + 0.1


class SlowLinks(desim.LinkModel):
    """All links are slow."""

    def build(self, site):
        return [
            [Slow(source, [target], desim.Wire(), 1) for target in row]
            for source, row in enumerate(site.targets)
        ]

    def times_s(self, site, size_bits):
        return 0.1, 0.1


class Fails(MyDSGD):
    """Has a mistake in it."""

    def worker(self, me):
        yield from me.compute(me.initial_model(), self.batch)
        raise RuntimeError("a mistake of the user's")


class IsKilled(MyDSGD):
    """Takes more memory than there is."""

    def worker(self, me):
        os.kill(os.getpid(), signal.SIGKILL)
        yield


class WaitsForever(MyDSGD):
    """Nobody sends."""

    def worker(self, me):
        yield from me.gather(tag=0)
'''


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_methods", raising=False)
    Path("my_methods.py").write_text(SOURCE)


@pytest.mark.slow
def test_a_class_from_the_working_folder(desim: Call) -> None:
    changes = {
        "algorithms.1": {
            "kind": "my_methods:MyDSGD",
            "label": "mine",
            "step_size": {"kind": "constant", "alpha": 0.5},
        },
        "cluster.stragglers": "my_methods:MySpeed",
    }
    write(Path("tiny.toml"), changes)
    ended = desim("run", "tiny.toml", "--out", "two", "--jobs", 2)
    assert (ended.code, ended.err) == (0, "")
    assert "mine" in ended.out
    manifest = json.loads(Path("two/trials/mine-seed0/manifest.json").read_text())
    assert manifest["kind"] == "my_methods:MyDSGD"
    # With epsilon = 1 it is DSGD: the same clock.
    assert (
        manifest["checksums"]["timeline.parquet"]
        == json.loads(Path("two/trials/DSGD-seed0/manifest.json").read_text())["checksums"][
            "timeline.parquet"
        ]
    )
    assert manifest["time_s"] == pytest.approx(3 * (5 / 10 + 0.01 + 32 * 310 / 40_000))
    # The scenario as resolved names the class and can be run again.
    assert desim("run", "two/scenario.toml", "--out", "one", "--jobs", 1, "--quiet").code == 0
    assert sums(Path("one")) == sums(Path("two"))


#: Where each axis stands in a scenario, a class of one's own, and what shows that it was used.
EVERY_AXIS = {
    "problem.dataset": ({"kind": "my_methods:Stripes"}, "10 parameters"),
    "problem.model": ({"kind": "my_methods:Tiny"}, "650 parameters"),
    "problem.loss": ({"kind": "my_methods:Squares"}, None),
    "problem.partition": ({"kind": "my_methods:AsTheyLie"}, None),
    "cluster.stragglers": ({"kind": "my_methods:MySpeed"}, "E[V] = 25 samples/s"),
    "network.topology": ({"kind": "my_methods:Path"}, "3 links, degree 1 to 2"),
    "network.mixing": ({"kind": "my_methods:Halves"}, None),
    "network.link": ({"kind": "my_methods:SlowLinks"}, "0.1 s"),
    "algorithms.0.step_size": ({"kind": "my_methods:Halved", "alpha": 0.5}, "0.25"),
    "algorithms.1.compressor": ({"kind": "my_methods:Signs", "size": 0.1}, "310 bits"),
    "algorithms.0": (
        {"kind": "my_methods:Averager", "step_size": {"kind": "constant", "alpha": 0.5}},
        "Averager",
    ),
}


@pytest.mark.parametrize("key", EVERY_AXIS)
def test_every_axis_takes_a_class_of_ones_own(desim: Call, key: str) -> None:
    table, shown = EVERY_AXIS[key]
    changes: dict[str, object] = {key: table}
    if key in ("problem.dataset", "problem.loss", "problem.partition"):
        changes |= {"problem.dataset": {"kind": "my_methods:Stripes"}, "problem.model": "softmax"}
    write(Path("tiny.toml"), changes)
    checked = desim("check", "tiny.toml")
    assert (checked.code, checked.err) == (0, "")
    assert shown is None or shown in checked.out
    package.run("tiny.toml", "results", jobs=1)
    stored = Path("results/scenario.toml").read_text()
    assert str(table["kind"]) in stored


def test_a_wrong_field_of_ones_own_class(desim: Call) -> None:
    write(Path("tiny.toml"), {"algorithms.0.kind": "my_methods:MyDSGD", "algorithms.0.batch": 0})
    assert desim("check", "tiny.toml").complaint.startswith("algorithms.0.batch = 0: must be")


def test_a_missing_class(desim: Call) -> None:
    write(Path("tiny.toml"), {"algorithms.0.kind": "my_methods:MyDSDG"})
    assert "my_methods:MyDSDG" in desim("check", "tiny.toml").complaint


def test_workers_that_wait_forever(desim: Call) -> None:
    write(Path("tiny.toml"), {"algorithms.0.kind": "my_methods:WaitsForever"})
    ended = desim("run", "tiny.toml", "--out", "results", "--jobs", 1)
    assert ended.code == 0
    assert "stalled" in ended.out
    manifest = json.loads(Path("results/trials/DSGD-seed0/manifest.json").read_text())
    assert manifest["status"] == manifest["stopped_by"] == "stalled"
    assert manifest["stalled"].startswith("at 0 s nothing can happen any more: worker 0 waits for")


def test_a_message_that_is_not_finite_ends_a_trial_as_diverged() -> None:
    changes = {
        "problem": {
            "dataset": {"kind": "quadratic", "samples": 20, "dimension": 3},
            "model": "quadratic",
        },
        "algorithms.0.step_size.alpha": 1e30,
        "algorithms.0.compressor": "sign",
        "evaluate.every_rounds": 100,
        "stop.rounds": 100,
    }
    package.run(package.from_table(tiny(changes)), "results", jobs=1)
    manifest = json.loads(Path("results/trials/DSGD-seed0/manifest.json").read_text())
    assert manifest["status"] == manifest["stopped_by"] == "diverged"
    assert "'s message" in manifest["diverged"]


@pytest.mark.slow
def test_a_process_that_is_killed(desim: Call) -> None:
    write(Path("tiny.toml"), {"algorithms.0.kind": "my_methods:IsKilled"})
    complaint = desim("run", "tiny.toml", "--out", "results", "--jobs", 2).complaint
    assert complaint.startswith("--jobs = 2: a trial was killed from outside")


def test_a_mistake_in_ones_own_class_is_told_with_its_line(desim: Call) -> None:
    step = {"kind": "constant", "alpha": 0.5}
    fails = {"kind": "my_methods:Fails", "label": "QT", "step_size": step}
    write(Path("tiny.toml"), {"algorithms.1": fails})
    complaint = desim("run", "tiny.toml", "--out", "results", "--jobs", 1).complaint
    line = SOURCE[: SOURCE.index("a mistake of the user's")].count("\n") + 1
    assert complaint == (
        "Fails.worker failed: RuntimeError: a mistake of the user's, "
        f"{Path('my_methods.py').resolve()}:{line}"
    )
    assert Path("results/trials/DSGD-seed0/manifest.json").is_file()
    assert not Path("results/trials/QT-seed0/manifest.json").exists()
