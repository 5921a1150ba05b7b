"""What a run tells while it runs: a line for each trial, in a log at once; and of what is slow."""

import multiprocessing
import subprocess
import sys
import warnings
from math import nan
from pathlib import Path

import pytest
import torch
from rich.console import Console
from tiny import Call, sums, tiny, write

import desim as simulator
from desim.cli.progress import shown
from desim.studies.progress import Finished, Progress
from desim.studies.slow_operators import noted, tell

COMMAND = Path(sys.executable).parent / "desim"


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_line_for_each_trial(jobs: int, tmp_path: Path, desim: Call) -> None:
    file, out = write(tmp_path / "tiny.toml"), tmp_path / "results"
    ended = desim("run", file, "--out", out, "--jobs", jobs)
    assert (ended.code, ended.err) == (0, "")
    lines = sorted(line for line in ended.out.splitlines() if line.startswith("trial "))
    found = simulator.analysis.load(out).groupby("trial", sort=False).last()
    names = [line.split()[2].rstrip(":") for line in lines]
    assert sorted(names) == ["DSGD-seed0", "QT-seed0"]
    for number, (line, name) in enumerate(zip(lines, names, strict=True), 1):
        row = found.loc[name]
        assert line == (
            f"trial {number}/2 {name}: finished after {row['time_s']:.4g} simulated s, "
            f"training loss {row['train_loss']:.4g}"
        )
    # What is finished is told once; a run that goes on counts it.
    again = desim("run", file, "--out", out, "--jobs", jobs)
    assert "trial " not in again.out
    (out / "trials" / "QT-seed0" / "manifest.json").unlink()
    (out / "manifest.json").unlink()
    assert f"\ntrial 2/2 {lines[names.index('QT-seed0')][10:]}\n" in (
        "\n" + desim("run", file, "--out", out, "--jobs", jobs).out
    )


def test_quiet_is_quiet_and_without_training_there_is_no_loss(tmp_path: Path, desim: Call) -> None:
    file = write(tmp_path / "tiny.toml")
    for options in ((), ("--no-train",)):
        out = tmp_path / f"quiet{len(options)}"
        ended = desim("run", file, "--out", out, "--jobs", 1, "--quiet", *options)
        assert (ended.code, ended.out, ended.err) == (0, "", "")
    ended = desim("run", file, "--out", tmp_path / "clock", "--jobs", 1, "--no-train")
    lines = [line for line in ended.out.splitlines() if line.startswith("trial ")]
    assert len(lines) == 2
    assert all(line.endswith(" simulated s") for line in lines)


@pytest.mark.parametrize(
    ("one", "line"),
    [
        (
            Finished("A-seed0", "diverged", 3.25, nan, 2),
            "A-seed0: diverged at 3.25 simulated s, tr",
        ),
        (
            Finished("A-seed0", "stalled", 0.0, 2.5, 2),
            "A-seed0: stalled at 0 simulated s, training",
        ),
        (
            Finished("A-seed0", "finished", 1e6, None, 2),
            "A-seed0: finished after 1e+06 simulated s",
        ),
    ],
)
def test_how_a_trial_ended_is_told(
    one: Finished, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with shown(Console()) as show:
        show(Progress(trials=3, done=2, share=0.5, finished=(one,)))
        show(Progress(trials=3, done=2, share=0.6))
    assert capsys.readouterr().out.startswith(f"trial 2/3 {line}")


def test_a_search_tells_of_each_candidate(tmp_path: Path, desim: Call) -> None:
    file = write(tmp_path / "tiny.toml")
    options = ("--jobs", 1, "--grid", 3, "--refine", 0)
    ended = desim("tune", file, "--out", tmp_path / "results", *options)
    numbers = [line.split()[1] for line in ended.out.splitlines() if line.startswith("trial ")]
    assert numbers == [f"{k}/6" for k in range(1, 7)]


@pytest.mark.slow
def test_a_log_grows_while_the_run_goes_on(tmp_path: Path) -> None:
    file = write(tmp_path / "tiny.toml", {"seeds": [0, 1]})
    run = subprocess.Popen(
        [COMMAND, "run", file, "--out", tmp_path / "results", "--jobs", "1"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    first = run.stdout.readline()
    assert first.startswith("trial 1/4 ")
    assert run.poll() is None
    # Whoever read it goes: what is computed still counts.
    run.stdout.close()
    assert run.wait(timeout=60) == 0
    assert (tmp_path / "results" / "manifest.json").is_file()


@pytest.mark.slow
def test_it_runs_without_an_output_at_all(tmp_path: Path) -> None:
    file = write(tmp_path / "tiny.toml")
    line = f'exec "{COMMAND}" run {file} --out {tmp_path / "results"} --jobs 1 >&-'
    done = subprocess.run(["sh", "-c", line], check=False, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "results" / "report" / "report.md").is_file()


@pytest.mark.parametrize("call", ["run", "tune"])
def test_an_error_of_who_is_told_passes_on(call: str, tmp_path: Path) -> None:
    class EnoughError(Exception):
        pass

    calls: list[Progress] = []

    def progress(now: Progress) -> None:
        calls.append(now)
        if len(calls) == 3:
            raise EnoughError

    table = simulator.from_table(tiny())
    with pytest.raises(EnoughError):
        getattr(simulator, call)(table, tmp_path / "results", jobs=1, progress=progress)
    assert len(calls) == 3


# In a process that can have no children.


def in_a_pool(arguments: tuple[str, int | None]) -> tuple[list[str], str]:
    out, jobs = arguments
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        folder = simulator.run(simulator.from_table(tiny()), out, jobs=jobs, train=False)
    return [str(one.message) for one in caught], str(folder)


@pytest.mark.slow
def test_a_daemonic_pool_runs_one_trial_at_a_time(tmp_path: Path) -> None:
    alone = simulator.run(simulator.from_table(tiny()), tmp_path / "alone", jobs=1, train=False)
    asked = [(str(tmp_path / "two"), 2), (str(tmp_path / "left-out"), None)]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (said, two), (nothing, left_out) = pool.map(in_a_pool, asked)
    [line] = said
    assert line.startswith("jobs = 2: runs with one, as a process of a multiprocessing.Pool can ")
    assert nothing == []
    assert sums(Path(two)) == sums(Path(left_out)) == sums(alone)


# What torch does one worker at a time.


class Folded(torch.nn.Module):
    """Has an operator, unfold's gradient, that torch can't take for many workers at once."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + self.linear.weight.unfold(1, 2, 2).sum((1, 2))


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_torchs_slow_operators_are_told_once_in_our_words(jobs: int, tmp_path: Path) -> None:
    problem = simulator.Problem(dataset="digits", samples_per_worker=20, model=Folded())
    scenario = simulator.Scenario(**tiny() | {"problem": problem, "seeds": [0, 1]})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        simulator.run(scenario, tmp_path / "results", jobs=jobs)
    [line] = [str(one.message) for one in caught if one.category is simulator.DesimWarning]
    assert line.startswith("problem: torch takes aten::unfold_backward for one worker after ano")
    assert not [one for one in caught if "performance drop" in str(one.message)]


def test_other_warnings_are_passed_on_and_nothing_is_told_of_nothing() -> None:
    slow_one = (
        "There is a performance drop because we have not yet implemented the batching rule for "
        "aten::put. Please file us an issue"
    )
    found = set()

    def work() -> None:
        with noted() as slow:
            for text in ("something else", slow_one, slow_one):
                warnings.warn(text, stacklevel=1)
        found.update(slow)

    with pytest.warns(UserWarning, match="something else") as caught:
        work()
    assert len(caught) == 1
    assert found == {"aten::put"}
    tell(found - {"aten::put"})
