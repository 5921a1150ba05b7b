"""A results folder that can't be used is refused in one line, and nothing in it is lost."""

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tiny import Call, sums, tiny, write

import desim as simulator
from desim.errors import ResultsError
from desim.schema.results import INDEX, TRIAL, ResultsSchema


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "results"
    return simulator.run(simulator.from_table(tiny()), out, jobs=1, train=False)


@pytest.fixture
def results(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run without training in the working folder."""
    monkeypatch.chdir(tmp_path)
    write(Path("tiny.toml"))
    return Path(shutil.copytree(whole, "results"))


def refused(desim: Call, results: Path, *options: object) -> str:
    before = sums(results)
    complaint = desim("run", "tiny.toml", "--out", results, "--jobs", 1, *options).complaint
    assert sums(results) == before
    return complaint


def test_the_same_run_is_not_refused_and_says_nothing_if_quiet(results: Path, desim: Call) -> None:
    before = sums(results)
    assert desim("run", "tiny.toml", "--out", results, "--no-train", "--quiet") == (0, "", "")
    assert sums(results) == before


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ([], "train = False, now it is True"),
        (["--no-train", "--threads", "2"], "threads = 1, now it is 2"),
    ],
)
def test_other_options(options: list[str], part: str, results: Path, desim: Call) -> None:
    complaint = refused(desim, results, *options)
    assert complaint == f"--out = results: holds trials run with {part}; choose another folder"


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--seeds", "0,1"], "seeds = [0] instead of [0, 1]"),
        (["--set", "cluster.workers=5"], "cluster.workers = 4 instead of 5"),
        (["--set", "algorithms.QT.expected_batch=6"], "expected_batch = 5.0 instead of 6.0"),
        (["--set", "stop={time_s=1}"], "stop.time_s = 'nothing' instead of 1.0"),
        (["--set", "sweep={'problem.l2'=[0.5]}"], "'nothing' instead of 0.5"),
    ],
)
def test_another_scenario(options: list[str], part: str, results: Path, desim: Call) -> None:
    complaint = refused(desim, results, "--no-train", *options)
    assert complaint.startswith("--out = results: holds another scenario, with ")
    assert part in complaint
    assert complaint.endswith("; choose another folder")


def test_other_files(results: Path, desim: Call) -> None:
    (results / "scenario.toml").unlink()
    assert "must be empty or hold results of this scenario" in refused(desim, results)


@pytest.mark.parametrize("content", [b"name =", b"\xff"])
def test_a_spoilt_scenario(content: bytes, results: Path, desim: Call) -> None:
    (results / "scenario.toml").write_bytes(content)
    complaint = refused(desim, results, "--no-train")
    assert complaint.startswith("results/scenario.toml: is no scenario (")


@pytest.mark.parametrize("out", ["tiny.toml", "tiny.toml/below", "/proc/results"])
def test_a_place_that_cannot_be_written(out: str, results: Path, desim: Call) -> None:
    complaint = desim("run", "tiny.toml", "--out", out).complaint
    assert complaint.startswith(f"--out = {out}: must be a folder that can be written (")


def test_a_trial_that_cannot_be_written(results: Path, desim: Call) -> None:
    trial = results / "trials" / "QT-seed0"
    shutil.rmtree(trial)
    trial.write_text("a file in the way")
    complaint = refused(desim, results, "--no-train")
    assert "--out = results: must be a folder that can be written (" in complaint
    trial.unlink()
    assert desim("run", "tiny.toml", "--out", results, "--no-train", "--quiet").code == 0


def test_two_runs_at_the_same_time(results: Path, desim: Call) -> None:
    other = os.open(results, os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert "another run is at work there" in refused(desim, results, "--no-train")
    finally:
        os.close(other)
    assert desim("run", "tiny.toml", "--out", results, "--no-train", "--quiet").code == 0


@pytest.mark.parametrize(
    "changes", [{"jobs": 0}, {"threads": 0}, {"device": "nonsense"}, {"seeds": []}]
)
def test_bad_arguments_of_the_function(changes: dict[str, Any], results: Path) -> None:
    before = sums(results)
    scenario = simulator.from_table(tiny())
    with pytest.raises(simulator.ScenarioError):
        simulator.run(scenario, results, **changes)
    assert sums(results) == before


def test_the_folder_says_what_it_is(tmp_path: Path) -> None:
    changes = {
        "sweep": {"evaluate.metrics": [["worst-worker-loss"], []], "cluster.workers": [4, 5]},
        "stop": {"rounds": 2, "target": {"metric": "test-accuracy", "value": 0.99}},
    }
    folder = simulator.run(simulator.from_table(tiny(changes)), tmp_path / "out", jobs=1)
    schema = ResultsSchema.read(folder)
    assert (schema.kind, schema.metric) == ("run", "test_accuracy")
    assert schema.sweep == ("evaluate.metrics", "cluster.workers")
    assert schema.column("worst-worker-loss").good == "low"
    for file in folder.glob("trials/*/metrics.parquet"):
        columns = pq.read_schema(file).names
        assert columns[:4] == list(INDEX)
        assert set(columns) <= {*INDEX, *schema.sweep, *(one.name for one in schema.metrics)}
        manifest = json.loads((file.parent / "manifest.json").read_text())
        assert set(TRIAL) <= set(manifest)


def test_results_are_not_about_a_count_that_ends_them(tmp_path: Path) -> None:
    target = {"metric": "bits-sent", "value": 1e5, "when": "above"}
    changes = {"stop": {"rounds": 2, "target": target}}
    folder = simulator.run(simulator.from_table(tiny(changes)), tmp_path / "out", jobs=1)
    assert ResultsSchema.read(folder).metric == "train_loss"


@pytest.mark.parametrize("damage", [None, "{", "[]", '{"kind": "run"}'])
def test_a_folder_whose_description_is_gone_or_damaged_gets_it_back(
    tmp_path: Path, damage: str | None
) -> None:
    scenario = simulator.from_table(tiny({"stop": {"rounds": 1}}))
    folder = simulator.run(scenario, tmp_path / "out", jobs=1)
    before = (folder / "results.json").read_text()
    (folder / "results.json").unlink()
    if damage is not None:
        (folder / "results.json").write_text(damage)
    with pytest.raises(ValueError, match=r"results\.json"):
        ResultsSchema.read(folder)
    simulator.run(scenario, tmp_path / "out", jobs=1)
    assert (folder / "results.json").read_text() == before


def test_what_another_command_wrote_is_refused(tmp_path: Path) -> None:
    table = tiny({"stop": {"rounds": 2}})
    folder = simulator.run(simulator.from_table(table), tmp_path / "out", jobs=1)
    with pytest.raises(ResultsError, match="holds what `desim run` wrote; choose another folder"):
        simulator.tune(simulator.from_table(table), folder, grid=simulator.Grid(3, 0), jobs=1)


def test_what_is_drawn_may_change_while_trials_are_kept(tmp_path: Path) -> None:
    folder = simulator.run(simulator.from_table(tiny()), tmp_path / "out", jobs=1, train=False)
    before = sums(folder)
    more = simulator.from_table(tiny({"report": {"figures": ["timeline"]}}))
    assert simulator.run(more, tmp_path / "out", jobs=1, train=False) == folder
    changed = [name for name, checksum in sums(folder).items() if checksum != before[name]]
    assert changed == ["scenario.toml"]
    assert "timeline" in (folder / "scenario.toml").read_text()


def test_a_file_that_happens_to_be_named_alike_is_not_overwritten(tmp_path: Path) -> None:
    scenario = simulator.from_table(tiny({"stop": {"rounds": 1}}))
    (tmp_path / "results.json").write_text('{"mine": true}')
    with pytest.raises(ResultsError, match="holds other files; choose another folder"):
        simulator.run(scenario, tmp_path, jobs=1, train=False)
    assert (tmp_path / "results.json").read_text() == '{"mine": true}'


def test_a_run_that_was_stopped_in_its_first_instant_goes_on(tmp_path: Path) -> None:
    scenario = simulator.from_table(tiny({"stop": {"rounds": 1}}))
    folder = simulator.run(scenario, tmp_path / "whole", jobs=1, train=False)
    begun = tmp_path / "begun"
    (begun / "trials").mkdir(parents=True)
    shutil.copy(folder / "results.json", begun)
    assert sums(simulator.run(scenario, begun, jobs=1, train=False)) == sums(folder)
