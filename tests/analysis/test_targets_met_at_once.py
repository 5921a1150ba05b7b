"""A target that is met before training has been reached, at time 0, and has no ratio."""

from pathlib import Path

import pytest
from fabricated import Fabricator

from desim import analysis
from desim.analysis.summary import summary_cells


@pytest.mark.parametrize(
    ("stop", "metric"),
    [
        ("target_train_loss = 3.0", None),
        ('target = {metric = "train-loss", value = 3.0}', None),
        ('target = {metric = {kind = "train-loss"}, value = 3.0, when = "below"}', None),
    ],
)
def test_it_is_told_as_reached(stop: str, metric: str | None, tmp_path: Path) -> None:
    made = Fabricator(tmp_path / "results", ["a", "b"])
    with (made.folder / "scenario.toml").open("a") as file:
        file.write(f"[stop]\n{stop}\n")
    for label in "ab":
        made.trial(label, 0, [0], [2.0])
    table = analysis.summary(made.folder, metric=metric)
    assert table["target"].tolist() == [3.0, 3.0]
    assert table["time_s"].tolist() == [0.0, 0.0]
    cells = summary_cells(table)
    assert cells.columns[0] == "target training loss"
    assert cells["time to target"].tolist() == ["0 s", "0 s"]
    assert cells["note"].tolist() == ["met before training"] * 2


def test_one_that_was_not_met_is_still_named(tmp_path: Path) -> None:
    made = Fabricator(tmp_path / "results", ["a"])
    with (made.folder / "scenario.toml").open("a") as file:
        file.write("[stop]\ntarget_train_loss = 0.5\n")
    made.trial("a", 0, [0, 4], [2.0, 2.5])
    cells = summary_cells(analysis.summary(made.folder))
    assert cells["target training loss"].tolist() == ["0.5"]
    assert cells["time to target"].tolist() == ["not reached"]


def test_a_target_above_is_no_target_of_a_loss(tmp_path: Path) -> None:
    made = Fabricator(tmp_path / "results", ["a"])
    with (made.folder / "scenario.toml").open("a") as file:
        file.write('[stop]\ntarget = {metric = "train-loss", value = 3.0, when = "above"}\n')
    made.trial("a", 0, [0], [2.0])
    assert summary_cells(analysis.summary(made.folder)).iloc[0, 0] == "-"


def test_a_baseline_that_met_it_before_training_is_no_failure(tmp_path: Path) -> None:
    made = Fabricator(tmp_path / "results", ["a", "b"])
    made.trial("a", 0, [0, 4], [1.0, 0.5])
    made.trial("b", 0, [0, 4], [2.0, 1.0])
    cells = summary_cells(analysis.summary(made.folder, targets=[1.5]))
    assert cells["note"].tolist() == ["met before training", "a met it before training"]
    assert cells["time to target"].tolist() == ["0 s", "2 s"]
