"""A run that is killed at any instant goes on to the same bytes with the same command."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_interrupted_runs import group, wait_for
from tiny import sums, tiny, write

import desim as simulator

CHANGES = {"seeds": [0, 1, 2], "stop.rounds": 100, "evaluate.every_rounds": 5}

#: Who is killed, and how often.
KILLS = {"parent": 25, "worker": 20, "all": 15}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "results"
    return simulator.run(simulator.from_table(tiny(CHANGES)), out, jobs=1)


def begun(file: Path, out: Path, temporary: Path) -> subprocess.Popen[str]:
    temporary.mkdir(exist_ok=True)
    return subprocess.Popen(
        [Path(sys.executable).parent / "desim", "run", file, "--out", out, "--jobs", "2"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )


def workers(parent: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # loky's tracker of semaphores is a child, too, and says a lot when it is started again.
            tracks = b"resource_tracker" in (stat.parent / "cmdline").read_bytes()
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent and not tracks:
                found.append(int(stat.parent.name))
        except OSError:
            continue  # it has ended meanwhile
    return found


def kill(run: subprocess.Popen[str], who: str, draw: random.Random) -> None:
    try:
        if who == "all":
            os.killpg(run.pid, signal.SIGKILL)
        elif who == "parent" or not (there := workers(run.pid)):
            run.kill()
        else:
            os.kill(draw.choice(there), signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended meanwhile


@pytest.mark.slow
@pytest.mark.parametrize("who", KILLS)
def test_killed_at_a_random_instant(who: str, whole: Path, tmp_path: Path) -> None:
    """The instants are counted from the first folder of a trial on, to the end of the report."""
    file, draw, expected = write(tmp_path / "tiny.toml", CHANGES), random.Random(who), sums(whole)
    for number in range(KILLS[who]):
        out = tmp_path / f"results-{number}"
        run = begun(file, out, tmp_path / "temporary")
        if number % 5:  # else in its first instants
            wait_for(lambda out=out, run=run: any(out.glob("trials/*")) or run.poll() is not None)
        time.sleep(draw.uniform(0, 4))
        kill(run, who, draw)
        _, err = run.communicate(timeout=120)
        wait_for(lambda run=run: not group(run.pid))
        assert "Traceback" not in err, err
        simulator.run(simulator.from_table(tiny(CHANGES)), out, jobs=1)
        assert sums(out) == expected, (who, number)


@pytest.mark.slow
@pytest.mark.parametrize("one", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_in_the_temporary_folder(
    one: signal.Signals, tmp_path: Path
) -> None:
    out, temporary = tmp_path / "results", tmp_path / "temporary"
    run = begun(write(tmp_path / "tiny.toml", CHANGES), out, temporary)
    wait_for(lambda: any(out.glob("trials/*/manifest.json")) or run.poll() is not None)
    assert any(temporary.iterdir())
    run.send_signal(one)
    _, err = run.communicate(timeout=60)
    wait_for(lambda: not group(run.pid))
    assert err == "desim: interrupted; the same command goes on where it stopped\n"
    assert run.returncode == 128 + one
    # torch keeps a folder of its own there, which is for all its processes.
    left = [one.name for one in temporary.iterdir() if not one.name.startswith("torchinductor_")]
    assert left == []
