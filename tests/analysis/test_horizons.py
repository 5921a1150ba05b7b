"""A sweep over the number of rounds is one curve per algorithm, through the ends of its runs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fabricated import WHY, Fabricator

from desim import analysis

HORIZONS = (2, 4, 8)


@pytest.fixture
def folder(fabricate: Callable[..., Fabricator]) -> Fabricator:
    """'steady' goes through 8, 7, ..., 0 whatever T is; 'schedule' ends at 16 / T."""
    results = fabricate("steady", "schedule")
    for rounds in HORIZONS:
        time_s = 4.0 * np.arange(rounds + 1)
        for seed in (0, 1):
            sweep = {"stop.rounds": rounds}
            results.trial("steady", seed, time_s, 8.0 - np.arange(rounds + 1), sweep=sweep)
            schedule = np.linspace(9.0, 16.0 / rounds, rounds + 1)
            results.trial("schedule", seed, time_s / 2, schedule, sweep=sweep)
    return results


def test_beginnings_of_one_run_are_that_run(folder: Fabricator) -> None:
    metrics, finished = analysis.curves(folder.folder)
    steady = metrics[(metrics["algorithm"] == "steady") & (metrics["seed"] == 0)]
    assert steady["train_loss"].tolist() == [8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert set(steady["trial"]) == {"steady_8_0"}
    assert "stop.rounds" not in metrics.columns
    assert "stop.rounds" not in finished.columns


def test_separate_runs_give_their_ends(folder: Fabricator) -> None:
    metrics, finished = analysis.curves(folder.folder)
    ends = metrics[(metrics["algorithm"] == "schedule") & (metrics["seed"] == 1)]
    assert ends["train_loss"].tolist() == [8, 4, 2]
    assert ends["time_s"].tolist() == [4, 8, 16]
    assert set(ends["trial"]) == {"schedule_8_1"}
    assert finished["trial"].tolist() == [
        "steady_8_0",
        "steady_8_1",
        "schedule_8_0",
        "schedule_8_1",
    ]


def test_a_method_that_has_only_the_longest_run_keeps_its_place(
    fabricate: Callable[..., Fabricator],
) -> None:
    results = fabricate("steady", "schedule")
    results.trial("steady", 0, [0, 4, 8], [9, 5, 4], sweep={"stop.rounds": 4})
    for rounds in (2, 4):
        sweep = {"stop.rounds": rounds}
        results.trial("schedule", 0, [0, 4], [9, 10 / rounds], sweep=sweep)
    metrics, finished = analysis.curves(results.folder)
    assert metrics["algorithm"].unique().tolist() == ["steady", "schedule"]
    assert finished["algorithm"].tolist() == ["steady", "schedule"]
    assert metrics.loc[metrics["algorithm"] == "steady", "train_loss"].tolist() == [9, 5, 4]


def test_time_to_target_runs_along_the_ends(folder: Fabricator) -> None:
    metrics, _ = analysis.curves(folder.folder)
    schema = analysis.load_schema(folder.folder)
    table = analysis.compare(metrics, schema, [5.0], baseline="steady")
    row = table[table["algorithm"] == "schedule"].iloc[0]
    # Between 8 at 4 s and 4 at 8 s; 'steady' is there after 3 rounds of 4 s.
    assert row["time_s"] == pytest.approx(7)
    assert row["speedup"] == pytest.approx(12 / 7)


def test_targets_above_the_first_end_are_reached_with_it(folder: Fabricator) -> None:
    metrics, _ = analysis.curves(folder.folder)
    schema = analysis.load_schema(folder.folder)
    # 'steady' starts from 8, and so do the targets, though 'schedule' has nothing above 8.
    assert analysis.target_grid(metrics, schema)[0] > 7
    table = analysis.compare(metrics, schema, [8.5, 7.5], baseline="steady")
    assert table.loc[table["algorithm"] == "schedule", "time_s"].tolist() == pytest.approx([4, 4.5])


def test_a_run_that_diverged_marks_the_curve(fabricate: Callable[..., Fabricator]) -> None:
    results = fabricate("one")
    results.trial("one", 0, [0, 4, 8], [9, 5, 4], sweep={"stop.rounds": 2})
    sweep = {"stop.rounds": 4}
    results.trial("one", 0, [0, 4, 8], [9, 8, np.inf], sweep=sweep, diverged_at_s=8.0)
    _, finished = analysis.curves(results.folder)
    assert finished["status"].tolist() == ["diverged"]
    assert finished["diverged_at_s"].tolist() == [8]


def test_the_curve_diverged_for_the_reason_of_the_run_that_did_so_first(
    fabricate: Callable[..., Fabricator],
) -> None:
    results = fabricate("one")
    for rounds, at_s, why in ((2, 4.0, "message 1"), (4, 8.0, "message 2")):
        gone: dict[str, Any] = {"diverged_at_s": at_s, "diverged": why}
        results.trial("one", 0, [0, at_s], [9, np.nan], sweep={"stop.rounds": rounds}, **gone)
    _, finished = analysis.curves(results.folder)
    assert finished[["diverged_at_s", "diverged"]].to_numpy().tolist() == [[4.0, "message 1"]]


def test_a_run_that_stalled_marks_the_curve(fabricate: Callable[..., Fabricator]) -> None:
    results = fabricate("one")
    for rounds, stalled in ((2, WHY), (4, None)):
        sweep = {"stop.rounds": rounds}
        results.trial("one", 0, [0, 4, 8], [9, 8, 16 / rounds], sweep=sweep, stalled=stalled)
    _, finished = analysis.curves(results.folder)
    assert finished["status"].tolist() == ["stalled"]
    assert finished["stalled"].tolist() == [WHY]
    # The reason is told of the run that stalled, not of the curve that is named after the longest.
    assert analysis.summary(results.folder)["reasons"][0] == f"one_2_0 stalled: {WHY}"


def test_other_folders_are_left_alone(fabricate: Callable[..., Fabricator]) -> None:
    results = fabricate("one")
    for low in (1, 2):
        results.decay("one", 0, 10.0, sweep={"cluster.stragglers.low": low})
    metrics, finished = analysis.curves(results.folder)
    assert metrics.equals(analysis.load(results.folder))
    assert finished.equals(analysis.trials(results.folder))


def test_the_report_draws_the_curve(folder: Fabricator) -> None:
    names = {path.name for path in analysis.report(folder.folder)}
    assert {"train-loss-vs-time.png", "speedup-vs-target.png", "timeline.png"} <= names
