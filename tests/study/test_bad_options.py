"""A bad option ends with one line that names the option, the value and the rule."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny import Call, write


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(Path("tiny.toml"))


@pytest.mark.parametrize(
    ("pair", "parts"),
    [
        ("cluster", ["--set = 'cluster'", "dotted.key=value"]),
        ("=5", ["--set = '=5'", "dotted.key=value"]),
        ("cluster.workers=5\nname='x'", ["--set = ", "must be one value"]),
        ("cluster.workers=", ["cluster.workers = ''", "integer"]),
        ("cluster.workers=five", ["cluster.workers = 'five'", "integer"]),
        ("cluster.wokers=5", ["cluster.wokers = 5", "did you mean 'workers'?"]),
        ("cluster.workers.x=5", ["cluster.workers.x = 5", "nothing below cluster.workers = 4"]),
        (
            "cluster.stragglers.kind=constant",
            ["give the whole table", "cluster.stragglers = {kind ="],
        ),
        ("algorithms.DSG.batch=5", ["'DSG' names none of them", "0 to 1, DSGD, QT or '*'"]),
        ("algorithms.2.batch=5", ["'2' names none of them"]),
        ("algorithms.QT.batch=5", ["algorithms.QT.batch = 5", "unknown key of QT"]),
        ("algorithms.*.step_size.alpha=-1", ["algorithms.*.step_size.alpha = -1", "greater"]),
        ("sweep.cluster.workers=[4,5]", ["sweep = {'cluster.workers' = [...]}"]),
        ("seeds=[1,1]", ["seeds = 1", "must differ"]),
    ],
)
def test_bad_set(pair: str, parts: list[str], scenario: Path, desim: Call) -> None:
    complaint = desim("check", scenario, "--no-train", "--set", pair).complaint
    assert [part for part in parts if part not in complaint] == [], complaint


@pytest.mark.parametrize("seeds", ["", "a", "-1", "1.5", "0 1", "0,", "²"])
def test_bad_seeds(seeds: str, scenario: Path, desim: Call) -> None:
    complaint = desim("run", scenario, "--seeds", seeds).complaint
    assert f"--seeds = {seeds!r}: must be whole numbers, such as 0,1,2" in complaint


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--seeds", "3,3"], ["seeds = 3", "must differ"]),
        (["--seeds", str(2**64)], [f"seeds.0 = {2**64}", "less than"]),
        (["--jobs", "0"], ["--jobs = 0: must be at least 1"]),
        (["--jobs", "-2"], ["--jobs = -2: must be at least 1"]),
        (["--jobs", "two"], ["--jobs", "integer"]),
        (["--threads", "0"], ["--threads = 0: must be at least 1"]),
        (["--device", "tpu"], ["--device", "'tpu'", "'cpu', 'cuda'"]),
        (["--bogus"], ["--bogus"]),
        (["--set"], ["--set"]),
    ],
)
def test_bad_option(options: list[str], parts: list[str], scenario: Path, desim: Call) -> None:
    complaint = desim("run", scenario, *options).complaint
    assert [part for part in parts if part not in complaint] == [], complaint


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu(scenario: Path, desim: Call) -> None:
    complaint = desim("run", scenario, "--device", "cuda").complaint
    assert complaint.startswith("--device = cuda: torch can't use it here (")
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["show", "nonsense"], ["'nonsense'", "no such kind or table"]),
        (["show", "quantimed"], ["'quantimed'", "did you mean 'quantimed-dsgd'?"]),
        (["list", "nonsense"], ["'nonsense': no such list", "choose from algorithms"]),
        (["list", "algoritms"], ["'algoritms'", "did you mean 'algorithms'?"]),
        (["nonsense"], ["nonsense"]),
        (["run"], ["SCENARIO"]),
        (["report", "nowhere"], ["nowhere: no such folder", "desim run"]),
        (["report", "."], ["has no results.json", "desim run"]),
        (["report", "tiny.toml"], ["tiny.toml: no such folder"]),
    ],
)
def test_bad_command(arguments: list[str], parts: list[str], scenario: Path, desim: Call) -> None:
    complaint = desim(*arguments).complaint
    assert [part for part in parts if part not in complaint] == [], complaint


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "tiny.toml"],
        ["tune", "tiny.toml", "--target", "1"],
        ["calibrate", "tiny.toml"],
        ["report", "."],
        ["trace", ".", "--trial", "t"],
        ["fit", "steps.csv"],
    ],
)
def test_an_empty_out_is_not_the_current_folder(
    arguments: list[str], scenario: Path, desim: Call
) -> None:
    complaint = desim(*arguments, "--out", "").complaint
    assert complaint == "--out = '': must be a path; leave it out for the usual one"
    assert [file.name for file in Path().iterdir()] == ["tiny.toml"]


def test_the_installed_command_ends_with_code_2_and_one_line(scenario: Path) -> None:
    ended = subprocess.run(
        [Path(sys.executable).parent / "desim", "run", scenario, "--set", "cluster.workers=1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout.strip()) == (2, "")
    assert ended.stderr == "desim: cluster.workers = 1: must be greater than or equal to 2\n"


def test_a_reader_that_goes_away_is_no_error(scenario: Path) -> None:
    desim = Path(sys.executable).parent / "desim"
    command = ["bash", "-c", f"{desim} list | head -1"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.stdout.split(), ended.stderr) == (["algorithms"], "")
