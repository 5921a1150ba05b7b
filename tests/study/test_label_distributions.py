"""Each trial tells how many samples of each class every worker holds."""

from pathlib import Path

import numpy as np
import pytest
from tiny import Call, tiny, write

import desim as simulator
from desim import analysis


def test_the_counts_are_those_of_the_partition(tmp_path: Path) -> None:
    # 4 workers x 20 digits, each worker two shards of ten that span few classes.
    changes = {"problem.partition": "shards", "stop.rounds": 1}
    out = simulator.run(simulator.from_table(tiny(changes)), tmp_path / "out", jobs=1)
    counts = analysis.load_labels(out, "DSGD-seed0")
    assert counts is not None
    assert counts.shape == (4, 10)
    assert (counts.sum(axis=1) == 20).all()
    assert ((counts > 0).sum(axis=1) <= 6).all()
    other = analysis.load_labels(out, "QT-seed0")
    assert counts.equals(other)  # a seed assigns the same to every algorithm
    names = {path.name for path in analysis.report(out)}
    assert {"label-distribution.png", "label-distribution.svg"} <= names


def test_numbers_to_predict_and_the_clock_alone_have_no_counts(tmp_path: Path) -> None:
    quadratic = {"kind": "quadratic", "samples": 100, "dimension": 3}
    changes = {"problem.dataset": quadratic, "problem.model": "quadratic", "stop.rounds": 1}
    for name, table, train in (("numbers", tiny(changes), True), ("clock", tiny(), False)):
        out = simulator.run(simulator.from_table(table), tmp_path / name, jobs=1, train=train)
        assert analysis.load_labels(out, "DSGD-seed0") is None


def test_missing_data_stops_a_run_of_the_clock_before_it_begins(
    tmp_path: Path, desim: Call
) -> None:
    dataset = {"kind": "mnist", "folder": "nowhere"}
    file = write(tmp_path / "tiny.toml", {"problem.dataset": dataset})
    ended = desim("run", file, "--no-train", "--out", tmp_path / "out", "--jobs", 1)
    assert "nowhere': has no train-images-idx3-ubyte[.gz]; put" in ended.complaint
    assert not (tmp_path / "out").exists()


def test_classes_go_by_their_names_where_they_have_some(tmp_path: Path) -> None:
    x, y = np.eye(8), np.tile([1, 0], 4)
    data = simulator.Data(x, y, x[:0], y[:0], names=("cat", "dog"))
    problem = simulator.Problem(dataset=data, model="softmax", samples_per_worker=2)
    scenario = simulator.from_table(tiny({"stop.rounds": 1, "algorithms.0.batch": 2})).model_copy(
        update={"problem": problem}
    )
    out = simulator.run(scenario, tmp_path / "out", jobs=1)
    counts = analysis.load_labels(out, "DSGD-seed0")
    assert counts is not None
    assert counts.columns.tolist() == ["cat", "dog"]
    assert counts.sum().tolist() == [4, 4]


def test_a_class_that_nobody_holds_has_its_name_too(tmp_path: Path) -> None:
    x, y = np.eye(8), np.tile([0, 2], 4)
    data = simulator.Data(x, y, x[:0], y[:0], names=("cat", "dog", "eel"))
    problem = simulator.Problem(dataset=data, model="softmax", samples_per_worker=2)
    scenario = simulator.from_table(tiny({"stop.rounds": 1, "algorithms.0.batch": 2})).model_copy(
        update={"problem": problem}
    )
    counts = analysis.load_labels(simulator.run(scenario, tmp_path, jobs=1), "DSGD-seed0")
    assert counts is not None
    assert counts.sum().to_dict() == {"cat": 4, "dog": 0, "eel": 4}


def test_a_class_without_a_name_is_refused(tmp_path: Path) -> None:
    x, y = np.eye(8), np.tile([0, 2], 4)
    data = simulator.Data(x, y, x[:0], y[:0], names=("cat", "dog"))
    problem = simulator.Problem(dataset=data, model="softmax", samples_per_worker=2)
    scenario = simulator.from_table(tiny()).model_copy(update={"problem": problem})
    with pytest.raises(simulator.ScenarioError, match="2 names of classes and a label 2"):
        simulator.run(scenario, tmp_path / "out", jobs=1)
    assert not (tmp_path / "out").exists()
