"""The loss at one time against a setting, and the distance from the optimal loss over rounds."""

import numpy as np
import pytest
from conftest import Fabricator

import analysis
from analysis import style
from analysis.figures.loss_gap import loss_gap_vs_rounds, loss_gaps, slope
from analysis.figures.sweep import loss_vs_key, losses_at

KEY = "algorithms.0.deadline_s"


@pytest.fixture
def deadlines(fabricate):
    """At 8 s the loss is (T_d - 2)^2 + 1 + seed / 10: least at T_d = 2, an interior optimum."""
    made = fabricate("QT")
    for deadline_s in (1.0, 2.0, 4.0):
        for seed in (0, 1):
            end = (deadline_s - 2) ** 2 + 1 + seed / 10
            made.trial("QT", seed, [0, 8, 16], [9, end, 0.5], sweep={KEY: deadline_s})
    return made


def looks(metrics):
    return style.looks([str(label) for label in metrics["algorithm"].unique()])


def test_the_loss_at_a_time_is_interpolated_between_evaluations(deadlines):
    metrics = analysis.load(deadlines.folder)
    table = losses_at(metrics, KEY, 8.0)
    assert table[KEY].tolist() == [1, 2, 4]
    assert table["loss"].tolist() == pytest.approx([2.05, 1.05, 5.05])
    assert table["loss_low"].tolist() == pytest.approx([2, 1, 5])
    assert table["loss_high"].tolist() == pytest.approx([2.1, 1.1, 5.1])
    assert losses_at(metrics, KEY, 4.0)["loss"].tolist() == pytest.approx([5.525, 5.025, 7.025])


def test_it_is_drawn_against_the_swept_value(deadlines):
    metrics = analysis.load(deadlines.folder)
    figure = loss_vs_key(losses_at(metrics, KEY, 8.0), KEY, 8.0, looks(metrics))
    [axes] = figure.axes
    assert axes.get_xlabel() == "deadline [s]"
    assert axes.get_ylabel() == "training loss at 8 s"
    assert axes.get_yscale() == "log"


def test_a_method_alone_has_no_speedup_but_a_loss(deadlines):
    names = {path.stem for path in analysis.report(deadlines.folder)}
    assert f"loss-vs-{KEY}" in names
    assert not any(name.startswith("speedup-vs-algorithms") for name in names)


def test_the_time_is_when_the_first_trial_ends_and_a_diverged_one_is_hollow(fabricate):
    made = fabricate("QT")
    made.trial("QT", 0, [0, 8], [9, 1], sweep={KEY: 1.0})
    made.trial("QT", 0, [0, 8, 16], [9, 2, 1], sweep={KEY: 2.0})
    made.trial("QT", 1, [0, 2, 4], [9, 99, np.nan], sweep={KEY: 2.0}, diverged_at_s=4.0)
    assert f"loss-vs-{KEY}" in {path.stem for path in analysis.report(made.folder)}
    from analysis.report import _earliest_end_s

    metrics = analysis.load(made.folder)
    assert _earliest_end_s(metrics, analysis.trials(made.folder)) == 8
    table = losses_at(metrics, KEY, 8.0)
    assert table["loss"].tolist() == [1, 2]
    assert table["reached"].tolist() == [1, 1]
    assert table["seeds"].tolist() == [1, 2]


CONVEX = """
[[algorithms]]
kind = "quantimed-dsgd"
label = "convex"
step_size = {kind = "convex", delta = 0.4}
"""


@pytest.fixture
def horizons(fabricate) -> Fabricator:
    """The loss is 0.25 above the optimum of 3 after 10 rounds, and falls as T^-0.3."""
    made = fabricate("plain")
    with (made.folder / "scenario.toml").open("a") as file:
        file.write(CONVEX)
    for rounds in (10, 40, 160):
        for seed in (0, 1):
            end = 3 + seed + 0.25 * (rounds / 10) ** -0.3
            more = {"sweep": {"stop.rounds": rounds}, "optimal_loss": 3.0 + seed}
            made.trial("convex", seed, [0, 4 * rounds], [9, end], **more)
    return made


def test_the_gap_is_each_seeds_own(horizons):
    gaps = loss_gaps(*analysis.curves(horizons.folder))
    assert gaps["round"].tolist() == [10, 40, 160]
    assert gaps["gap"].tolist() == pytest.approx(0.25 * np.array([1, 4, 16]) ** -0.3)
    assert gaps["gap_low"].tolist() == pytest.approx(gaps["gap_high"].tolist())
    assert slope(gaps) == pytest.approx(-0.3)


def test_it_is_drawn_with_its_slope_beside_the_theorems(horizons):
    metrics, finished = analysis.curves(horizons.folder)
    described = analysis.results.scenario(horizons.folder)
    figure = loss_gap_vs_rounds(
        loss_gaps(metrics, finished), described, "two seeds", looks(metrics)
    )
    [axes] = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "convex, slope -0.30",
        "slope -delta/2",
    ]
    dotted = next(line for line in axes.lines if line.get_linestyle() == ":")
    start, *_, end = dotted.get_ydata()
    assert end / start == pytest.approx(16**-0.2)
    assert "loss-gap-vs-rounds" in {path.stem for path in analysis.report(horizons.folder)}


def test_where_no_optimum_is_known_there_is_no_such_figure(deadlines):
    assert loss_gaps(*analysis.curves(deadlines.folder)).empty
    assert "loss-gap-vs-rounds" not in {path.stem for path in analysis.report(deadlines.folder)}
