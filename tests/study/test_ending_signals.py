"""SIGTERM and SIGHUP end a run like Ctrl-C; a library's signals stay the program's own."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from test_interrupted_runs import CHANGES, LINE, finished, group, wait_for
from tiny import Call, tiny, write

import desim as simulator
from desim.engine.outcome import Outcome
from desim.scenario.scenario import Trial
from desim.studies import study
from desim.studies.ending import SIGNALS, Terminated, orderly

COMMAND = Path(sys.executable).parent / "desim"


def started(tmp_path: Path, *before: str, **how: Any) -> "subprocess.Popen[str]":
    file, temporary = write(tmp_path / "tiny.toml", CHANGES), tmp_path / "temporary"
    temporary.mkdir()
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | how
    return subprocess.Popen(
        [*before, COMMAND, "run", file, "--out", tmp_path / "results", "--jobs", "2"],
        text=True,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(temporary)},
        **options,
    )


def left(temporary: Path) -> list[str]:
    """What is left there, beside the cache that torch makes whatever it is used for."""
    return [one.name for one in temporary.iterdir() if "torchinductor" not in one.name]


@pytest.mark.parametrize(
    ("number", "whom"),
    [
        (signal.SIGTERM, "the first process"),
        (signal.SIGHUP, "all of them"),
        pytest.param(signal.SIGTERM, "all of them", marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, "the first process", marks=pytest.mark.slow),
    ],
)
def test_it_tidies_up_and_says_how_to_go_on(
    number: signal.Signals, whom: str, tmp_path: Path
) -> None:
    run, out = started(tmp_path), tmp_path / "results"
    wait_for(lambda: finished(out) or run.poll() is not None)
    (os.kill if whom == "the first process" else os.killpg)(run.pid, number)
    _, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (128 + number, LINE)
    wait_for(lambda: not group(run.pid))
    assert left(tmp_path / "temporary") == []
    assert 1 <= len(finished(out)) < 6


@pytest.mark.slow
def test_a_terminal_that_is_closed_ends_it_without_a_word(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    take = partial(fcntl.ioctl, 0, termios.TIOCSCTTY, 0)  # as the terminal of the new session
    run = started(tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=take)
    os.close(theirs)
    wait_for(lambda: finished(tmp_path / "results") or run.poll() is not None)
    os.close(ours)
    assert run.wait(timeout=60) == 128 + signal.SIGHUP
    assert left(tmp_path / "temporary") == []


@pytest.mark.slow
def test_under_nohup_the_hangup_is_ignored(tmp_path: Path) -> None:
    run, out = started(tmp_path, "nohup"), tmp_path / "results"
    wait_for(lambda: finished(out) or run.poll() is not None)
    os.killpg(run.pid, signal.SIGHUP)
    _, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    assert len(finished(out)) == 6


@pytest.mark.parametrize("number", SIGNALS)
def test_with_one_job(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, desim: Call
) -> None:
    run_one = study.simulate

    def end(trial: Trial, **options: Any) -> Outcome:
        if trial.name == "QT-seed0":
            signal.raise_signal(number)
        return run_one(trial, **options)

    monkeypatch.setattr(study, "simulate", end)
    out = tmp_path / "results"
    ended = desim("run", write(tmp_path / "tiny.toml"), "--out", out, "--jobs", 1)
    assert (ended.code, ended.err) == (128 + number, LINE)
    assert [file.parent.name for file in finished(out)] == ["DSGD-seed0"]
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize("number", SIGNALS)
def test_handlers_are_there_for_the_time_of_a_run_only(
    number: signal.Signals, tmp_path: Path
) -> None:
    during: list[Any] = []

    def look(now: study.Progress) -> None:
        during.append(signal.getsignal(number))

    table = simulator.from_table(tiny())
    simulator.run(table, tmp_path / "main", jobs=1, train=False, progress=look)
    assert callable(during[0])
    assert signal.getsignal(number) is signal.SIG_DFL
    for own in (signal.SIG_IGN, lambda number, frame: None):
        during.clear()
        signal.signal(number, own)
        try:
            simulator.run(table, tmp_path / f"{id(own)}", jobs=1, train=False, progress=look)
            assert signal.getsignal(number) is own
        finally:
            signal.signal(number, signal.SIG_DFL)
        assert set(during) == {own}
    during.clear()
    options = {"jobs": 1, "train": False, "progress": look}
    thread = threading.Thread(
        target=simulator.run, args=(table, tmp_path / "thread"), kwargs=options
    )
    thread.start()
    thread.join()
    assert set(during) == {signal.SIG_DFL}
    assert (tmp_path / "thread" / "manifest.json").is_file()


def test_a_second_signal_does_not_cut_the_tidying_short() -> None:
    tidied = []

    def work() -> None:
        with orderly():
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                signal.raise_signal(signal.SIGHUP)
                signal.raise_signal(signal.SIGTERM)
                tidied.append(True)

    with pytest.raises(Terminated) as ended:
        work()
    assert tidied == [True]
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
