"""A scenario may name a class of the user's own; it travels to the other processes too."""

import json
import sys
from pathlib import Path

import pytest
from tiny import Call, sums, write

SOURCE = '''
import os
import signal
from typing import Annotated

from pydantic import Field

import desim


class MyDSGD(desim.Algorithm):
    """Mixes, then steps."""

    batch: Annotated[int, Field(ge=1)] = 5

    def worker(self, me):
        alpha, _ = self.step_size.at(me.horizon)
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


def test_a_process_that_is_killed(desim: Call) -> None:
    write(Path("tiny.toml"), {"algorithms.0.kind": "my_methods:IsKilled"})
    complaint = desim("run", "tiny.toml", "--out", "results", "--jobs", 2).complaint
    assert complaint.startswith("--jobs = 2: a trial was killed from outside")


def test_a_mistake_in_ones_own_class_keeps_its_traceback(desim: Call) -> None:
    # A bug is no bad input: its author wants to see the line.
    step = {"kind": "constant", "alpha": 0.5}
    fails = {"kind": "my_methods:Fails", "label": "QT", "step_size": step}
    write(Path("tiny.toml"), {"algorithms.1": fails})
    with pytest.raises(RuntimeError, match="a mistake of the user's"):
        desim("run", "tiny.toml", "--out", "results", "--jobs", 1)
    assert Path("results/trials/DSGD-seed0/manifest.json").is_file()
    assert not Path("results/trials/QT-seed0/manifest.json").exists()
