"""`desim calibrate`: it writes a profile that a scenario can use, and never over another file."""

import re
import tomllib
from pathlib import Path

import pytest
import torch
from tiny import Call, write

#: Quick, and with a time that grows with the batch on the busiest machine.
QUICK = ("--batches", "1,20,2000", "--repeats", 8)


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(Path("tiny.toml"))


def test_a_scenario_runs_on_the_machine_that_was_measured(scenario: Path, desim: Call) -> None:
    ended = desim("calibrate", scenario, *QUICK, "--out", "mine.toml")
    assert (ended.code, ended.err) == (0, "")
    rows = [line.split() for line in ended.out.splitlines() if "%" in line]
    assert [(row[0], row[1]) for row in rows] == [("1", "8"), ("20", "8"), ("2,000", "8")]
    text = Path("mine.toml").read_text(encoding="utf-8")
    assert "# desim calibrate tiny.toml --batches 1,20,2000 --repeats 8 --out mine.toml" in text
    assert f"torch {torch.__version__}; model {{kind = " in text
    profile = tomllib.loads(text)
    assert profile.keys() >= {"name", "overhead_s", "speed_sps", "stragglers"}
    line = re.search(r"^hardware = .*", ended.out, re.M)
    assert line
    pasted = tomllib.loads(line[0])["hardware"]
    assert Path(pasted["file"]) == Path("mine.toml").resolve()
    other = write(Path("other.toml"), {"cluster.hardware": pasted})
    assert desim("run", other, "--no-train", "--jobs", 1, "--quiet").code == 0
    resolved = tomllib.loads(Path("results/tiny/scenario.toml").read_text(encoding="utf-8"))
    assert resolved["cluster"]["hardware"][0]["speed_sps"] == profile["speed_sps"]


def test_the_profile_is_named_after_the_scenario(scenario: Path, desim: Call) -> None:
    ended = desim("calibrate", scenario, *QUICK, "--set", "name=a/b")
    assert (ended.code, ended.err) == (0, "")
    assert Path("results/hardware-a-b.toml").is_file()


def test_threads_are_torchs_and_go_back(scenario: Path, desim: Call) -> None:
    before = torch.get_num_threads()
    assert desim("calibrate", scenario, *QUICK, "--threads", 2, "--out", "two.toml").code == 0
    assert torch.get_num_threads() == before
    assert ", 2 threads: " in Path("two.toml").read_text(encoding="utf-8").splitlines()[0]


def test_a_file_in_the_way_is_said_before_anything_is_measured(scenario: Path, desim: Call) -> None:
    complaint = desim("calibrate", scenario, "--seconds", 1e9, "--out", scenario).complaint
    assert complaint == (
        "--out = tiny.toml: is there already, and must be a new file; choose another name, or "
        "remove it"
    )


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--batches", "1,x"], ["--batches = '1,x': must be whole numbers, such as 1,8,64"]),
        (["--batches", "-1,8"], ["--batches = '-1,8': must be whole numbers"]),
        (["--batches", "0,8"], ["--batches = 0,8: must be two batch sizes or more, positive"]),
        (["--batches", "8"], ["--batches = 8: must be two"]),
        (["--repeats", "2"], ["--repeats = 2: must be at least 8"]),
        (["--seconds", "0"], ["--seconds = 0: must be positive"]),
        (["--threads", "0"], ["--threads = 0: must be at least 1"]),
        (["--set", "problem.model.hidden=[0]"], ["problem.model.hidden", "greater"]),
    ],
)
def test_bad_option(options: list[str], parts: list[str], scenario: Path, desim: Call) -> None:
    complaint = desim("calibrate", scenario, *options).complaint
    assert [part for part in parts if part not in complaint] == [], complaint
    assert not Path("results").exists()
