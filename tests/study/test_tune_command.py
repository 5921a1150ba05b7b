"""`desim tune` from the command line: what it prints, writes, keeps and refuses."""

import signal
import tomllib
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from tiny import DROP, Call, tiny, write

import desim as package
from desim.engine.outcome import Outcome
from desim.engine.simulation import Simulation
from desim.errors import ScenarioError
from desim.tuning import work as tuning_work
from desim.tuning.search import prepare_search

SMALL = ("--grid", 3, "--refine", 1, "--jobs", 1)


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(Path("tiny.toml"), {"seeds": [0, 1]})


def test_the_tuned_scenario_runs(scenario: Path, desim: Call) -> None:
    ended = desim("tune", scenario, *SMALL)
    assert ended.code == 0, ended.err
    assert "training loss at the end: 2 methods x 5 step sizes" in ended.out
    assert "x 2 seeds = 20 trials" in ended.out
    folder = Path("results/tiny-tuning")
    tuned = tomllib.loads((folder / "tuned.toml").read_text())
    candidates = pq.read_table(folder / "candidates.parquet").to_pandas()
    assert len(candidates) == 20
    for method in tuned["algorithms"]:
        best = candidates[candidates["best"] & (candidates["algorithm"] == method["label"])]
        assert set(best["value"]) == {method["step_size"]["alpha"]}
        mean = candidates[candidates["algorithm"] == method["label"]].groupby("value")["score"]
        assert mean.mean().idxmin() == method["step_size"]["alpha"]
    assert (folder / "report/sensitivity.png").stat().st_size > 10_000
    assert (folder / "report/sensitivity.svg").is_file()
    assert desim("run", folder / "tuned.toml", "--out", "again", "--jobs", 1).code == 0
    assert desim("report", folder).code == 0


def test_finished_candidates_are_kept(scenario: Path, desim: Call) -> None:
    assert desim("tune", scenario, *SMALL).code == 0
    files = sorted(Path("results/tiny-tuning/trials").glob("*/*"))
    before = [(file, file.stat().st_mtime_ns) for file in files]
    wider = ("--grid", 3, "--refine", 2, "--jobs", 1)
    assert desim("tune", scenario, *SMALL).code == 0
    assert desim("tune", scenario, *wider).code == 0
    assert [(file, file.stat().st_mtime_ns) for file in files] == before
    complaint = desim("tune", scenario, *SMALL, "--target", 2.0).complaint
    assert "holds another scenario, with stop.target.kind = 'nothing'" in complaint


@pytest.mark.slow
def test_two_processes_give_the_same(scenario: Path, desim: Call) -> None:
    assert desim("tune", scenario, "--seeds", 0, *SMALL[:4], "--jobs", 1, "--out", "one").code == 0
    assert desim("tune", scenario, "--seeds", 0, *SMALL[:4], "--jobs", 2, "--out", "two").code == 0
    for file in ("candidates.parquet", "tuned.toml", "manifest.json"):
        assert Path("one", file).read_bytes() == Path("two", file).read_bytes()


def test_ctrl_c(scenario: Path, monkeypatch: pytest.MonkeyPatch, desim: Call) -> None:
    run = Simulation.run

    def interrupted(simulation: Simulation) -> Outcome:
        if simulation._setting.seed == 1:
            signal.raise_signal(signal.SIGINT)
        return run(simulation)

    monkeypatch.setattr(Simulation, "run", interrupted)
    ended = desim("tune", scenario, *SMALL)
    assert (ended.code, ended.err.count("\n")) == (130, 1)
    assert len(list(Path("results/tiny-tuning/trials").iterdir())) == 3
    complaint = desim("report", "results/tiny-tuning").complaint
    assert "a search that is not finished; call `desim tune` again" in complaint


def test_a_method_that_needs_one_number_is_tried_step_by_step(
    scenario: Path, monkeypatch: pytest.MonkeyPatch, desim: Call
) -> None:
    Path("wants_a_number.py").write_text(
        "from desim.algorithms.dsgd import DSGD\n\n\n"
        "class Clipped(DSGD):\n"
        "    def worker(self, me):\n"
        "        assert float(me.step_size()) > 0\n"
        "        return super().worker(me)\n"
    )
    file = write(Path("own.toml"), {"algorithms.0.kind": "wants_a_number:Clipped", "name": "own"})
    alone: list[str] = []
    simulate = tuning_work.simulate
    monkeypatch.setattr(
        tuning_work, "simulate", lambda t, **options: alone.append(t.name) or simulate(t, **options)
    )
    assert desim("tune", file, *SMALL).code == 0
    assert len(alone) == 5
    assert all(name.endswith("DSGD-seed0") for name in alone)
    assert desim("tune", scenario, "--seeds", 0, *SMALL).code == 0
    own, plain = (
        pq.read_table(f"results/{name}-tuning/candidates.parquet").to_pandas()
        for name in ("own", "tiny")
    )
    assert own["score"].equals(plain["score"])


def test_deadline(scenario: Path, desim: Call) -> None:
    ended = desim("tune", scenario, "--deadline", "--range", "0.05,0.5", *SMALL)
    assert ended.code == 0, ended.err
    assert "1 method x 5 deadlines" in ended.out
    candidates = pq.read_table("results/tiny-deadline/candidates.parquet").to_pandas()
    # The rule, 5 / 50, isn't on this grid and is tried besides.
    assert candidates.loc[candidates["own"], "value"].unique().tolist() == [0.1]
    assert candidates["value"].nunique() == 6
    best = candidates.loc[candidates["best"], "value"].iloc[0]
    methods = tomllib.loads(Path("results/tiny-deadline/tuned.toml").read_text())["algorithms"]
    assert methods[1]["expected_batch"] == pytest.approx(50 * best)
    assert methods[0]["step_size"]["alpha"] == 0.5


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--target", "1", "--at", "2"], ["--target = 1, --at = 2: give one"]),
        (["--target", "nan"], ["--target = 'nan'", "finite"]),
        (["--target", "nonsense=1"], ["--metric = 'nonsense'", "no such kind"]),
        (["--metric", "steps"], ["--metric = 'steps'", "neither low nor high"]),
        (["--target", "1,2"], ["--target = '1,2'", "one value"]),
        (["--target", "9"], ["--target = 9: must be below the training loss before training"]),
        (["--at", "-1"], ["stop.time_s = -1", "greater than 0"]),
        (["--set", "stop.time_s=5", "--at", "6"], ["--at = 6: must be at most stop.time_s = 5"]),
        (["--range", "1"], ["--range = '1': must be 2 numbers, such as 0.01,10"]),
        (["--range", "2,1"], ["--range = 2,1", "the smaller one first"]),
        (["--range", "0,1"], ["--range = 0,1", "positive"]),
        (["--range", "nan,1"], ["--range = nan,1", "positive"]),
        (["--range", "1,inf"], ["--range = 1,inf", "positive"]),
        (["--grid", "2"], ["--grid = 2: must be at least 3"]),
        (["--refine", "-1"], ["--refine = -1: must be at least 0"]),
        (["--epsilon", "x"], ["--epsilon = 'x': must be numbers, such as 0.5,1"]),
        (["--epsilon", "0"], ["step_size.epsilon = 0", "greater than 0"]),
        (["--epsilon", "1", "--deadline"], ["--epsilon", "--deadline"]),
        (["--set", "sweep={'cluster.workers'=[4,5]}"], ["sweep = ", "must be empty"]),
        (["--jobs", "0"], ["--jobs = 0"]),
    ],
    ids=str,
)
def test_bad_options(options: list[str], parts: list[str], scenario: Path, desim: Call) -> None:
    small = [] if "--grid" in options else ["--grid", 3]
    small += [] if "--refine" in options else ["--refine", 0]
    small += [] if "--jobs" in options else ["--jobs", 1]
    complaint = desim("tune", scenario, *small, *options).complaint
    assert [part for part in parts if part not in complaint] == [], complaint


def test_no_method_with_a_deadline(scenario: Path, desim: Call) -> None:
    table = '[{kind="dsgd", batch=5, step_size={kind="constant", alpha=1.0}}]'
    complaint = desim("tune", scenario, "--deadline", "--set", f"algorithms={table}").complaint
    assert "--deadline: must have an algorithm with a deadline_s" in complaint


def test_at_a_time_a_schedule_goes_on_as_in_the_whole_run(tmp_path: Path) -> None:
    """A cosine over 3 s, looked at after 1 s: what is tuned is what is run."""
    changes = {
        "stop": {"time_s": 3.0},
        "evaluate": {"every_s": 1.0},
        "algorithms.0.step_size": {"kind": "cosine", "alpha": 0.5},
        "algorithms.1": DROP,
    }
    scenario = package.from_table(tiny(changes))
    grid = package.Grid(3, 0, 0.25, 1.0)
    tuning = package.tune(scenario, tmp_path / "tuned", at=1.0, grid=grid, jobs=1)
    run = package.run(scenario, tmp_path / "run", jobs=1)
    metrics = pd.read_parquet(run / "trials/DSGD-seed0/metrics.parquet").set_index("time_s")
    assert tuning.methods[0].own_score.cost == metrics["train_loss"][1.0]
    assert tuning.scenario.stop.time_s == 3.0
    assert "over" not in str(tuning.scenario.algorithms[0].step_size.table())


def test_where_nothing_can_be_chosen_the_scenarios_own_stays(tmp_path: Path) -> None:
    """Targets without classes have no accuracy: all candidates are equal."""
    quadratic = {"dataset": {"kind": "quadratic", "samples": 100, "dimension": 3}}
    changes = {"problem": quadratic | {"model": "quadratic"}, "algorithms.1": DROP}
    scenario = package.from_table(tiny(changes))
    tuning = package.tune(
        scenario, tmp_path / "tuned", metric="test-accuracy", grid=package.Grid(3, 0), jobs=1
    )
    assert tuning.scenario.algorithms[0].step_size.alpha == 0.5
    assert tuning.methods[0].value == 0.5


def test_a_target_with_its_own_direction_keeps_it() -> None:
    stop = {"rounds": 3, "target": {"metric": "grad-norm-sq", "value": 0.5, "when": "above"}}
    scenario = package.from_table(tiny({"stop": stop}))
    for asked in ({"at": None}, {"target": 0.7}):
        assert prepare_search(scenario, **asked).objective.above
    assert not prepare_search(scenario, metric="train_loss").objective.above
    with pytest.raises(ScenarioError, match="is the same for all step sizes"):
        prepare_search(scenario, metric="staleness-mean")
