"""The README's examples run as they stand."""

import ast
import importlib
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import tomli_w
import torch

from desim import analysis
from desim.clock.faults import Faults
from desim.metrics.base import Row
from desim.scenario.scenario import find
from desim.scenario.setting import Cluster, Network
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
        [sys.executable, "-c", "from desim.cli.main import main; main()", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def own_methods(folder: Path) -> tuple[str, str]:
    """Writes the README's mymethods.py; gives the method's and the compressor's source."""
    method, compressor, metrics, _ = blocks("python")
    (folder / "mymetrics.py").write_text(metrics, encoding="utf-8")
    (folder / "mymethods.py").write_text(method + "\n\n" + compressor, encoding="utf-8")
    return method, compressor


def lines_of_code(source: str) -> int:
    """Lines of a class, its docstring and blank lines aside."""
    (cls,) = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    docstring = cls.body[0]
    assert docstring.end_lineno is not None
    left_out = range(docstring.lineno, docstring.end_lineno + 1)
    numbered = enumerate(source.splitlines(), 1)
    return sum(k >= cls.lineno and k not in left_out and line.strip() != "" for k, line in numbered)


def test_a_method_and_a_compressor_of_ones_own_are_short(tmp_path: Path) -> None:
    method, compressor = own_methods(tmp_path)
    assert lines_of_code(method) < 30
    assert lines_of_code(compressor) < 20


@pytest.mark.slow
def test_a_scenario_takes_a_method_and_a_compressor_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_methods(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    table = tomllib.loads(find("quickstart").read_text(encoding="utf-8"))
    table |= tomllib.loads(blocks("toml")[2]) | {"stop": {"rounds": 40}, "seeds": [0]}
    table["cluster"]["workers"] = 9
    more = tomllib.loads(blocks("toml")[3])
    table["evaluate"] = more["evaluate"] | {"every_s": 20.0}
    table["stop"] |= {key: more["stop"][key] for key in ("target", "rules")}
    table["report"] = more["report"]
    (tmp_path / "own.toml").write_text(tomli_w.dumps(table), encoding="utf-8")
    done = desim(f"desim run own.toml --out {tmp_path / 'results'} --jobs 1", tmp_path)
    assert done.returncode == 0, done.stderr
    metrics = analysis.load(tmp_path / "results")
    losses = metrics.groupby("algorithm").train_loss.agg(["first", "last"])
    assert set(losses.index) == {"SlowMo", "choco-sgd"}
    assert (losses["last"] < losses["first"] - 0.1).all()
    assert (metrics["longest_model"] > 0).all()
    assert metrics["worst_worker_accuracy"].between(0, 1).all()
    assert (tmp_path / "results" / "report" / "last-values.svg").is_file()


def test_the_compressor_of_ones_own_keeps_its_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_methods(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    compressor = importlib.import_module("mymethods").BlockMeans(size=7)
    for dtype in (torch.float32, torch.float64):
        x = torch.randn(100, dtype=dtype, generator=torch.Generator().manual_seed(0))
        arrives = compressor(x[None], uniform=None)[0]
        data = compressor.encode(x, None)
        assert 8 * len(data) == compressor.size_bits(100) == 15 * 32
        assert torch.equal(compressor.decode(data, 100, dtype), arrives)
        assert (arrives - x).norm() <= compressor.error_bound(100) ** 0.5 * x.norm()


def test_the_stop_of_ones_own_ends_when_nothing_falls_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_methods(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    rule = importlib.import_module("mymetrics").Plateau(patience=2)
    losses = [5.0, 4.0, 3.0, 3.5, 3.0]
    rows = [Row(float(k), {"train_loss": loss}) for k, loss in enumerate(losses)]
    assert [rule.reached(rows[: k + 1]) for k in range(5)] == [False] * 4 + [True]


@pytest.mark.slow
def test_the_python_example_runs(tmp_path: Path) -> None:
    own_methods(tmp_path)
    (tmp_path / "example.py").write_text(blocks("python")[3], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "example.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "SlowMo" in done.stdout


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
    example = blocks("toml")[1]
    problem = Problem(**tomllib.loads(example)["problem"])
    assert problem.parameters(Streams(0)) == 16 * 16 + 1


def test_the_bundled_pictures_and_scenarios_that_it_names_exist() -> None:
    named = re.findall(r"\((scenarios/[^)]+)\)", README.read_text(encoding="utf-8"))
    assert named
    for path in named:
        assert (README.parent / path).is_file(), path
