"""A sweep crosses its values; each point is in the results under its dotted keys."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import tiny

import desim
from desim.errors import ScenarioError
from desim.scenario.scenario import Trial

FAST = {"kind": "dedicated", "bandwidth_bps": 1e6}


def trials(**sweep: object) -> list[Trial]:
    table = tiny({"seeds": [0, 7], "sweep": sweep})
    return list(desim.from_table(table).trials())


def test_all_values_are_crossed_with_algorithms_and_seeds() -> None:
    found = trials(**{"cluster.workers": [4, 5, 6], "algorithms.*.step_size.alpha": [1, 2]})
    assert len(found) == 3 * 2 * 2 * 2
    assert len({trial.name for trial in found}) == len(found)
    seen = {
        (
            trial.setting.cluster.workers,
            trial.setting.algorithm.step_size.at(0, 0.0)[0],
            trial.setting.algorithm.name,
            trial.setting.seed,
        )
        for trial in found
    }
    assert len(seen) == len(found)
    for trial in found:
        alpha = trial.setting.algorithm.step_size.at(0, 0.0)[0]
        assert trial.point == {
            "cluster.workers": trial.setting.cluster.workers,
            "algorithms.*.step_size.alpha": alpha,
        }


def test_without_a_sweep_there_is_one_point() -> None:
    assert [trial.name for trial in trials()] == [
        "DSGD-seed0",
        "DSGD-seed7",
        "QT-seed0",
        "QT-seed7",
    ]


def test_by_place_label_or_star() -> None:
    for key in ("algorithms.1.expected_batch", "algorithms.QT.expected_batch"):
        batches = [
            trial.setting.algorithm.expected_batch
            for trial in trials(**{key: [3, 6]})
            if trial.setting.algorithm.name == "QT"
        ]
        assert batches == [3, 3, 6, 6]
    alphas = [
        trial.setting.algorithm.step_size.alpha
        for trial in trials(**{"algorithms.*.step_size.alpha": [3, 6]})
    ]
    assert alphas == [3] * 4 + [6] * 4


def test_a_method_that_no_horizon_changes_runs_for_the_largest_only() -> None:
    """Its shorter runs are the beginning of the longest; a schedule differs between them."""
    schedule = {"kind": "nonconvex", "c1": 1.0, "c2": 1.0}
    sweep = {"stop.rounds": [2, 6, 4], "cluster.workers": [4, 5]}
    scenario = desim.from_table(tiny({"algorithms.1.step_size": schedule, "sweep": sweep}))
    ran = [(t.setting.algorithm.name, t.setting.stop.rounds) for t in scenario.trials()]
    assert sorted(set(ran)) == [("DSGD", 6), ("QT", 2), ("QT", 4), ("QT", 6)]
    assert len(ran) == 2 * (1 + 3)
    plan = desim.plan(scenario, train=False)
    assert [method.label for method in plan.methods] == ["DSGD", "QT"]
    assert (plan.trials, plan.beginnings) == (8, 4)


def test_a_shorter_run_whose_end_the_longest_does_not_evaluate_is_run() -> None:
    sweep = {"stop.rounds": [2, 4, 6]}
    for evaluate, ran in (({"every_rounds": 4}, [2, 6]), ({"every_s": 1.0}, [2, 4, 6])):
        scenario = desim.from_table(tiny({"evaluate": evaluate, "sweep": sweep}))
        found = [t.setting for t in scenario.trials()]
        assert [s.stop.rounds for s in found if s.algorithm.name == "DSGD"] == ran


def test_a_schedule_with_a_length_of_its_own_has_no_horizon() -> None:
    """Its shorter runs are beginnings; left to take the run's length, it differs between them."""
    for length, ran in (({"over_steps": 3}, [3]), ({}, [2, 3])):
        cosine = {"kind": "cosine", "alpha": 0.1, **length}
        changes = {"algorithms.0.step_size": cosine, "sweep": {"stop.rounds": [2, 3]}}
        found = [trial.setting for trial in desim.from_table(tiny(changes)).trials()]
        assert [s.stop.rounds for s in found if s.algorithm.name == "DSGD"] == ran


def test_labels_that_no_folder_can_be_named_after() -> None:
    table = tiny({"algorithms.0.label": "a/b: ü !", "algorithms.1.label": "." * 300})
    names = [trial.name for trial in desim.from_table(table).trials()]
    assert names == ["a-b--ü---seed0", "trial-seed0"]


def test_a_value_that_breaks_a_rule_is_refused_at_reading() -> None:
    with pytest.raises(ScenarioError, match=r"^cluster.stragglers.high = 90: must be at least low"):
        trials(**{"cluster.stragglers.low": [10, 100]})


def test_a_graph_that_does_not_exist_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    sweep = {"network.topology": ["ring", {"kind": "torus", "rows": 3}]}
    scenario = desim.from_table(tiny({"sweep": sweep}))
    with pytest.raises(ScenarioError, match=r"^network.topology.rows = 3: 4 workers don't fill"):
        desim.run(scenario, tmp_path / "results", jobs=1)
    assert not (tmp_path / "results").exists()


def test_columns_of_the_metrics(tmp_path: Path) -> None:
    sweep = {
        "cluster.workers": [4, 5],
        "network.link.latency_s": [0, 0.5],
        "network.topology": ["ring", {"kind": "erdos-renyi", "p": 1.0}],
        "algorithms.QT.barrier": ["neighbors"],
    }
    scenario = desim.from_table(tiny({"sweep": sweep, "stop.rounds": 1}))
    out = desim.run(scenario, tmp_path / "results", jobs=1, train=False)
    folders = sorted((out / "trials").iterdir())
    assert len(folders) == 16
    schemas = [pq.read_schema(folder / "metrics.parquet") for folder in folders]
    assert all(schema.equals(schemas[0]) for schema in schemas)
    assert {name: schemas[0].field(name).type for name in sweep} == {
        "cluster.workers": pa.int64(),
        "network.link.latency_s": pa.float64(),
        "network.topology": pa.string(),
        "algorithms.QT.barrier": pa.string(),
    }
    assert [schemas[0].field(name).type for name in ("seed", "steps", "samples", "bits_sent")] == [
        pa.int64()
    ] * 4
    found = set()
    for folder in folders:
        point = json.loads((folder / "manifest.json").read_text())["sweep"]
        rows = pq.read_table(folder / "metrics.parquet").select(list(sweep)).to_pylist()
        cells = dict(point)
        if isinstance(point["network.topology"], dict):
            cells["network.topology"] = "erdos-renyi p=1.0"
        assert rows == [cells] * len(rows)
        found.add(tuple(cells.values()))
    assert len(found) == 8
