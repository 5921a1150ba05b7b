"""The README's examples run as they stand."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from desim.clock.faults import Faults
from desim.setting import Cluster, Network
from desim.streams import Streams
from desim.tensors.problem import Problem

README = Path(__file__).parents[1] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.S)


def commands() -> list[str]:
    lines = "\n".join(blocks("console")).splitlines()
    return [line for line in lines if line.startswith("desim ")]


def desim(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command, comments=True)[1:]
    return subprocess.run(
        [sys.executable, "-c", "from desim.cli import main; main()", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_python_example_runs(tmp_path: Path) -> None:
    (example,) = blocks("python")
    (tmp_path / "example.py").write_text(example, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "example.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "LocalSGD" in done.stdout


@pytest.mark.slow
def test_the_commands_run_one_after_another(tmp_path: Path) -> None:
    assert len(commands()) >= 5
    for command in commands():
        done = desim(command, tmp_path)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert done.stdout


def test_the_example_of_a_cluster_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("machine.toml").write_text("speed_sps = 100.0\n")  # what `desim calibrate` wrote
    tables = tomllib.loads(blocks("toml")[0])
    assert Cluster(**tables["cluster"]).size == 52
    assert Network(**tables["network"]).link.losses()[0] == 0.01
    Faults(**tables["faults"]).check(52)


def test_the_example_of_a_problem_is_one() -> None:
    _, example = blocks("toml")
    problem = Problem(**tomllib.loads(example)["problem"])
    assert problem.parameters(Streams(0)) == 16 * 16 + 1


def test_the_bundled_pictures_and_scenarios_that_it_names_exist() -> None:
    named = re.findall(r"\((scenarios/[^)]+)\)", README.read_text(encoding="utf-8"))
    assert named
    for path in named:
        assert (README.parent / path).is_file(), path
