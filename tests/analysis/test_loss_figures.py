"""The loss at one time against a setting, and the distance from the optimal loss over rounds."""

from itertools import pairwise

import numpy as np
import pytest
from fabricated import Fabricator

from desim import analysis
from desim.analysis import style
from desim.analysis.at_time import earliest_end_s, values_at
from desim.analysis.figures.loss_gap_vs_rounds import loss_gap_vs_rounds
from desim.analysis.figures.metric_vs_key import metric_vs_key
from desim.analysis.figures.speedup_vs_key import speedup_vs_key
from desim.analysis.loss_gaps import convex_deltas, loss_gaps, slope
from desim.schema.results import Column

KEY = "algorithms.0.deadline_s"
LOSS = Column("train_loss", "training loss", good="low")


@pytest.fixture
def deadlines(fabricate):
    """At 8 s the loss is (T_d - 2)^2 + 1 + seed / 10: least at T_d = 2, an interior optimum."""
    made = fabricate("QT")
    for deadline_s in (1.0, 2.0, 4.0):
        for seed in (0, 1):
            end = (deadline_s - 2) ** 2 + 1 + seed / 10
            made.trial("QT", seed, [0, 8, 16], [9, end, 0.5], sweep={KEY: deadline_s})
    return made


def compared(made, targets):
    schema = analysis.load_schema(made.folder)
    return analysis.compare(analysis.load(made.folder), schema, targets)


def styles(metrics):
    return style.line_styles([str(label) for label in metrics["algorithm"].unique()])


def test_the_loss_at_a_time_is_interpolated_between_evaluations(deadlines):
    metrics = analysis.load(deadlines.folder)
    table = values_at(metrics, KEY, 8.0, LOSS)
    assert table[KEY].tolist() == [1, 2, 4]
    assert table["value"].tolist() == pytest.approx([2.05, 1.05, 5.05])
    assert table["value_low"].tolist() == pytest.approx([2, 1, 5])
    assert table["value_high"].tolist() == pytest.approx([2.1, 1.1, 5.1])
    earlier = values_at(metrics, KEY, 4.0, LOSS)
    assert earlier["value"].tolist() == pytest.approx([5.525, 5.025, 7.025])


def test_it_is_drawn_against_the_swept_value(deadlines):
    metrics = analysis.load(deadlines.folder)
    figure = metric_vs_key(values_at(metrics, KEY, 8.0, LOSS), KEY, 8.0, styles(metrics), LOSS)
    [axes] = figure.axes
    assert axes.get_xlabel() == "deadline [s]"
    assert axes.get_ylabel() == "training loss at 8 s"
    assert axes.get_yscale() == "log"


@pytest.mark.slow
def test_a_method_alone_has_times_to_targets_but_no_speedup(deadlines):
    assert f"train-loss-vs-{KEY}" in {path.stem for path in analysis.report(deadlines.folder)}
    table = compared(deadlines, [3.0, 2.0])
    figure = speedup_vs_key(table, KEY, style.line_styles(["QT"]), LOSS)
    assert len(figure.axes) == 2  # one per target
    assert figure.axes[0].get_ylabel() == "time to target [s]"
    assert figure.axes[0].get_xlabel() == "deadline [s]"


def test_before_the_first_evaluation_there_is_no_loss(fabricate):
    """Joined runs have their ends only: nobody knows what came before."""
    made = fabricate("early", "late")
    for label, end_s in (("early", 4), ("late", 20)):
        for rounds in (2, 4):
            sweep = {"stop.rounds": rounds, KEY: 1.0}
            made.trial(label, 0, [0, rounds * end_s], [9, 8 / rounds], sweep=sweep)
    metrics, _ = analysis.curves(made.folder)
    table = values_at(metrics, KEY, 16.0, LOSS).set_index("algorithm")
    assert table.loc["early", "value"] == 2
    assert np.isnan(table.loc["late", "value"])
    assert table.loc["late", "reached"] == 0


@pytest.mark.slow
def test_the_time_is_when_the_first_trial_ends_and_a_diverged_one_is_hollow(fabricate):
    made = fabricate("QT")
    made.trial("QT", 0, [0, 8], [9, 1], sweep={KEY: 1.0})
    made.trial("QT", 0, [0, 8, 16], [9, 2, 1], sweep={KEY: 2.0})
    made.trial("QT", 1, [0, 2, 4], [9, 99, np.nan], sweep={KEY: 2.0}, diverged_at_s=4.0)
    assert f"train-loss-vs-{KEY}" in {path.stem for path in analysis.report(made.folder)}
    metrics = analysis.load(made.folder)
    assert earliest_end_s(metrics, analysis.trials(made.folder)) == 8
    table = values_at(metrics, KEY, 8.0, LOSS)
    assert table["value"].tolist() == [1, 2]
    assert table["reached"].tolist() == [1, 1]
    assert table["seeds"].tolist() == [1, 2]


CONVEX = """
[evaluate]
iterate = "average"
[sweep]
"stop.rounds" = [10, 40, 160]
[[algorithms]]
kind = "quantimed-dsgd"
label = "convex"
step_size = {kind = "convex", delta = 0.4}
"""
#: Of seed 0 and 1.
OPTIMA = (3.0, 4.0)


def gap(rounds):
    return 0.25 * (rounds / 10) ** -0.3


@pytest.fixture
def horizons(fabricate) -> Fabricator:
    """The loss is 0.25 above each seed's optimum after 10 rounds, and nears it as T^-0.3."""
    made = fabricate("plain")
    with (made.folder / "scenario.toml").open("a") as file:
        file.write(CONVEX)
    for rounds in (10, 40, 160):
        for seed, optimum in enumerate(OPTIMA):
            more = {"sweep": {"stop.rounds": rounds}, "optimal_loss": optimum}
            made.trial("convex", seed, [0, 4 * rounds], [9, optimum + gap(rounds)], **more)
    return made


def drawn(folder):
    metrics, finished = analysis.curves(folder)
    deltas = convex_deltas(analysis.results.scenario(folder))
    return loss_gap_vs_rounds(loss_gaps(metrics, finished), finished, deltas, styles(metrics))


def legend(figure):
    [found] = figure.legends
    return found.get_title().get_text(), [text.get_text() for text in found.get_texts()]


def test_the_gap_is_each_seeds_own(horizons):
    gaps = loss_gaps(*analysis.curves(horizons.folder))
    assert gaps["round"].tolist() == [10, 40, 160]
    assert gaps["gap"].tolist() == pytest.approx(gap(gaps["round"]).tolist())
    assert gaps["gap_low"].tolist() == pytest.approx(gaps["gap_high"].tolist())
    assert slope(gaps) == pytest.approx(-0.3)


def test_it_is_drawn_with_its_slope_beside_the_theorems(horizons):
    figure = drawn(horizons.folder)
    [axes] = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    title, texts = legend(figure)
    assert title == "mean of 2 seeds; band: range over seeds"
    assert texts == ["convex, slope -0.30", "slope -delta/2"]
    dotted = next(line for line in axes.lines if line.get_linestyle() == ":")
    start, *_, end = dotted.get_ydata()
    assert end / start == pytest.approx(16**-0.2)
    assert "loss-gap-vs-rounds" in {path.stem for path in analysis.report(horizons.folder)}


@pytest.mark.parametrize("change", ['iterate = "last"', 'algorithms.0.step_size.delta" = [0.1'])
def test_a_slope_of_which_the_theorem_does_not_speak_is_not_drawn(horizons, change):
    file = horizons.folder / "scenario.toml"
    old = {"i": 'iterate = "average"', "a": 'stop.rounds" = [10'}[change[0]]
    file.write_text(file.read_text().replace(old, change))
    _, texts = legend(drawn(horizons.folder))
    assert texts == ["convex"]


def test_seeds_whose_rounds_differ_are_averaged_on_common_ones(fabricate):
    """As asynchronous ones do, evaluated at times: a mean may not jump from seed to seed."""
    made = fabricate("async")
    for seed, times_s in enumerate(([0, 4, 8, 16], [0, 6, 10, 12])):
        losses = [9.0, *(5 - np.array(times_s[1:]) / 4 + seed)]
        made.trial("async", seed, times_s, losses, optimal_loss=0.0)
    gaps = loss_gaps(*analysis.curves(made.folder))
    assert gaps["round"].tolist() == [1.5, 2, 2.5, 3]  # from the later start to the earlier end
    assert gaps["gap"].tolist() == pytest.approx((5.5 - gaps["round"]).tolist())


def test_a_diverged_seed_is_left_out_and_said_to_be(horizons):
    made, more = horizons, {"sweep": {"stop.rounds": 160}, "optimal_loss": 2.0}
    made.trial("convex", 2, [0, 8], [9, np.nan], diverged_at_s=8.0, **more)
    title, _ = legend(drawn(made.folder))
    assert title == "mean of 2 seeds; band: range over seeds, without the diverged"


def test_a_gap_that_is_not_positive_has_no_slope(fabricate, horizons):
    more = {"sweep": {"stop.rounds": 160}, "optimal_loss": 3.5}
    horizons.trial("convex", 3, [0, 640], [9, 3.4], **more)
    figure = drawn(horizons.folder)
    assert figure.axes[0].get_yscale() == "linear"


@pytest.mark.slow
def test_where_no_optimum_is_known_there_is_no_such_figure(deadlines):
    assert loss_gaps(*analysis.curves(deadlines.folder)).empty
    assert "loss-gap-vs-rounds" not in {path.stem for path in analysis.report(deadlines.folder)}


@pytest.mark.slow
def test_points_whose_values_differ_little_have_files_of_their_own(fabricate):
    made = fabricate("a")
    for value in (1234567.0, 1234568.0, 0.1):
        made.decay("a", 0, 8.0, sweep={"network.link.bandwidth_bps": value})
    paths = analysis.report(made.folder)
    assert len(set(paths)) == len(paths)
    assert any(path.stem.endswith("bandwidth_bps=1234568") for path in paths)


@pytest.mark.parametrize("targets", [[3.0], [3.0, 2.0, 1.5]], ids=["one panel", "three panels"])
def test_the_labels_of_many_values_do_not_run_into_each_other(fabricate, targets):
    made = fabricate("QT")
    for deadline_s in (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0):
        made.trial("QT", 0, [0, 8], [9, 1], sweep={KEY: deadline_s})
    table = compared(made, targets)
    with style.applied():
        figure = speedup_vs_key(table, KEY, style.line_styles(["QT"]), LOSS)
        figure.canvas.draw()
    for axes in figure.axes:
        shown = [label for label in axes.get_xticklabels() if label.get_text()]
        low, high = axes.get_xlim()
        boxes = [t.get_window_extent() for t in shown if low <= t.get_position()[0] <= high]
        assert len(boxes) >= 2
        assert all(a.x1 < b.x0 for a, b in pairwise(boxes))
