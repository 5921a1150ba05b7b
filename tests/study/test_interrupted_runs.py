"""A run that is interrupted or killed keeps what it finished, and goes on to the same bytes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import Call, sums, tiny, write

import desim as simulator
from desim.engine.outcome import Outcome
from desim.scenario.scenario import Trial
from desim.studies import study

CHANGES = {"seeds": [0, 1, 2], "stop.rounds": 200, "evaluate.every_rounds": 20}


LINE = "desim: interrupted; the same command goes on where it stopped\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "results"
    return simulator.run(simulator.from_table(tiny(CHANGES)), out, jobs=1)


@pytest.mark.parametrize("how", ["Ctrl-C", pytest.param("kill -9", marks=pytest.mark.slow)])
def test_what_is_finished_is_kept(how: str, whole: Path, tmp_path: Path) -> None:
    file, out = write(tmp_path / "tiny.toml", CHANGES), tmp_path / "results"
    run = subprocess.Popen(
        [Path(sys.executable).parent / "desim", "run", file, "--out", out, "--jobs", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group of its own, as a terminal gives it
    )
    wait_for(lambda: finished(out) or run.poll() is not None)
    if how == "Ctrl-C":
        os.killpg(run.pid, signal.SIGINT)
    else:
        run.kill()
    _, err = run.communicate(timeout=60)
    wait_for(lambda: not group(run.pid))
    kept = finished(out)
    if how == "Ctrl-C":
        assert (run.returncode, err) == (130, LINE)
    else:
        assert run.returncode == -signal.SIGKILL, err
    assert 1 <= len(kept) < 6
    assert not (out / "manifest.json").exists()

    before = {file: file.stat().st_mtime_ns for file in kept}
    simulator.run(simulator.from_table(tiny(CHANGES)), out, jobs=1)
    assert sums(out) == sums(whole)
    assert {file: file.stat().st_mtime_ns for file in kept} == before


def test_ctrl_c_with_one_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, desim: Call) -> None:
    run_one = study.simulate

    def interrupt(trial: Trial, **options: Any) -> Outcome:
        if trial.name == "QT-seed0":
            signal.raise_signal(signal.SIGINT)
        return run_one(trial, **options)

    monkeypatch.setattr(study, "simulate", interrupt)
    out = tmp_path / "results"
    ended = desim("run", write(tmp_path / "tiny.toml"), "--out", out, "--jobs", 1)
    assert (ended.code, ended.err) == (130, LINE)
    assert [file.parent.name for file in finished(out)] == ["DSGD-seed0"]


def finished(out: Path) -> list[Path]:
    return list(out.glob("trials/*/manifest.json"))


def group(number: int) -> list[str]:
    """The living processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue  # it has ended meanwhile
        state, _, its_group = text.rpartition(")")[2].split()[:3]
        if int(its_group) == number and state != "Z":
            found.append(text)
    return found


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "waited for a minute"
        time.sleep(0.02)
