"""Targets, speedups, tables and figures of any metric, in the direction that is good for it."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from desim import analysis
from desim.analysis import style
from desim.analysis.at_time import values_at
from desim.analysis.figures.metric_vs_key import metric_vs_key
from desim.analysis.figures.metric_vs_time import metric_vs_time
from desim.analysis.figures.speedup_vs_target import speedup_vs_target
from desim.schema.results import Column

ACCURACY = Column("test_accuracy", "test accuracy", good="high")
COUNT = Column("samples", "samples")
#: What `compare` gives of each row, besides the target.
NUMBERS = ["reached", "seeds", "pairs", "time_s", "time_low_s", "time_high_s", "bits"]
NUMBERS += ["bits_low", "bits_high", "speedup", "speedup_low", "speedup_high"]


def accuracies(made, curves):
    """Trials of label and seed with these accuracies, evaluated every 4 s: a round each."""
    for (label, seed), values in curves.items():
        time_s = 4.0 * np.arange(len(values))
        made.trial(label, seed, time_s, 2 - np.array(values), metrics={"test_accuracy": values})


@pytest.fixture
def raced(fabricate):
    """The slow one gains 0.1 a round, the fast one 0.2."""
    made = fabricate("slow", "fast")
    accuracies(made, {("slow", 0): [0.1, 0.2, 0.3, 0.4], ("fast", 0): [0.1, 0.3, 0.5, 0.4]})
    return made


def read(made):
    return analysis.load(made.folder), analysis.load_schema(made.folder)


def test_an_accuracy_is_reached_at_or_above_the_target(raced):
    metrics, schema = read(raced)
    targets = [0.05, 0.1, 0.25, 0.4, 0.6]
    found = analysis.time_to_target(metrics, schema, targets, "test-accuracy")
    slow, fast = (found.loc[found["algorithm"] == a, "time_s"].tolist() for a in ("slow", "fast"))
    assert slow == pytest.approx([0, 0, 6, 12, np.nan], nan_ok=True)
    assert fast == pytest.approx([0, 0, 3, 6, np.nan], nan_ok=True)
    bits = analysis.bits_to_target(metrics, schema, [0.25], "test_accuracy")
    assert bits["bits_sent"].tolist() == pytest.approx([1500, 750])


def test_the_speedup_to_an_accuracy_is_a_ratio_of_times(raced):
    table = analysis.compare(*read(raced), [0.25, 0.4, 0.5], metric="test-accuracy")
    assert set(table["metric"]) == {"test_accuracy"}
    fast = table[table["algorithm"] == "fast"]
    assert fast["speedup"].tolist() == pytest.approx([2, 2, np.nan], nan_ok=True)
    assert fast["reached"].tolist() == [1, 1, 1]
    slow = analysis.compare(*read(raced), [0.25], metric="test-accuracy", baseline="fast")
    assert slow.loc[slow["algorithm"] == "slow", "speedup"].tolist() == pytest.approx([0.5])


@pytest.mark.parametrize("gap", [np.nan, -np.inf])
def test_what_is_not_finite_is_no_end_of_a_line(fabricate, gap):
    made = fabricate("a")
    accuracies(made, {("a", 0): [0.1, gap, 0.5]})
    found = analysis.time_to_target(*read(made), [0.3], "test-accuracy")["time_s"]
    assert found.tolist() == pytest.approx([8.0])


def test_one_minus_a_metric_is_its_mirror_image(fabricate):
    """Random curves of three seeds: their errors, low, and 1 - error, high, tell the same."""
    made = fabricate("a", "b", "c")
    made.measure("error", "low")
    made.measure("rightness", "high")
    random = np.random.default_rng(0)
    for label in ("a", "b", "c"):
        for seed in range(3):
            error = np.exp(-random.random(12).cumsum() / 2) + 0.1 * random.random(12)
            own = {"error": error, "rightness": 1 - error}
            made.trial(label, seed, np.sort(random.random(12) * 16), error, metrics=own)
    metrics, schema = read(made)
    targets = np.array([0.75, 0.5, 0.25, 0.125, 0.0625])
    low = analysis.compare(metrics, schema, targets, metric="error", baseline="b")
    high = analysis.compare(metrics, schema, 1 - targets, metric="rightness", baseline="b")
    assert low["reached"].nunique() > 2
    pd.testing.assert_frame_equal(low[NUMBERS], high[NUMBERS], rtol=1e-9)
    np.testing.assert_allclose(low["target"], 1 - high["target"])
    # An evenly spaced grid of one is that of the other, from the other side.
    even = metrics.assign(error=metrics["error"] - 2, rightness=2 - metrics["error"])
    grids = [analysis.target_grid(even, schema, name) for name in ("error", "rightness")]
    np.testing.assert_allclose(grids[0], -grids[1])


def test_the_grid_rises_evenly_to_the_best_that_anybody_reached(raced):
    metrics, schema = read(raced)
    grid = analysis.target_grid(metrics, schema, "test-accuracy", points=4)
    assert grid == pytest.approx([0.2, 0.3, 0.4, 0.5])
    assert grid[-1] == 0.5
    reached = analysis.time_to_target(metrics, schema, grid[-1:], "test-accuracy")["time_s"]
    assert reached.notna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("start", "best", "expected"),
    [
        (0.1, 0.93, [0.2, 0.4, 0.6, 0.8]),
        (0.1, 0.8, [0.2, 0.4, 0.6, 0.8]),
        (0.2, 0.8, [0.4, 0.6, 0.8]),
        (0.9, 0.95, [0.91, 0.92, 0.93, 0.94, 0.95]),
        (-3.0, 2.0, [-2, -1, 0, 1, 2]),
        (0.5, 0.5, []),
        (0.5, 0.4, []),
    ],
)
def test_a_few_round_targets_rise_from_beyond_the_start(fabricate, start, best, expected):
    made = fabricate("a")
    accuracies(made, {("a", 0): [start, best]})
    assert analysis.round_targets(*read(made), "test-accuracy").tolist() == pytest.approx(expected)


def test_the_metric_that_the_results_are_about_is_the_usual_one(raced):
    loss = analysis.summary(raced.folder)
    assert set(loss["metric"]) == {"train_loss"}
    raced.about = "test_accuracy"
    raced.describe()
    table = analysis.summary(raced.folder)
    assert table["target"].unique().tolist() == [0.2, 0.3, 0.4, 0.5]
    pd.testing.assert_frame_equal(table, analysis.summary(raced.folder, metric="test-accuracy"))
    assert set(analysis.summary(raced.folder, metric="train-loss")["metric"]) == {"train_loss"}


def test_the_table_names_the_metric(raced):
    console = Console(file=io.StringIO(), width=200)
    table = analysis.summary(raced.folder, targets=[0.25, 0.5], metric="test-accuracy")
    console.print(analysis.summary_table(table))
    lines = [line.split() for line in console.file.getvalue().splitlines() if line.strip()]
    assert {"target", "test", "accuracy"} <= {word for line in lines[:4] for word in line}
    assert next(line for line in lines if line[0] == "0.25")[1:4] == ["slow", "6", "s"]
    assert "0.5, fast: slow did not reach it" in console.file.getvalue()


def test_a_count_has_no_targets(raced):
    metrics, schema = read(raced)
    rule = r"metric = 'samples': neither low nor high values of it are good, so it has no targets; "
    rule += r"choose from train-loss, test-loss, test-accuracy, grad-norm-sq, consensus-error$"
    for ask in (
        lambda: analysis.time_to_target(metrics, schema, [10], "samples"),
        lambda: analysis.compare(metrics, schema, metric="samples"),
        lambda: analysis.target_grid(metrics, schema, "samples"),
        lambda: analysis.round_targets(metrics, schema, "samples"),
        lambda: analysis.summary(raced.folder, targets=[10], metric="samples"),
        lambda: analysis.report(raced.folder, targets=[10], metric="samples"),
    ):
        with pytest.raises(analysis.ResultsError, match=rule):
            ask()
    assert "round_s" in analysis.summary(raced.folder, metric="samples")


def test_a_metric_that_is_not_measured_is_refused_with_those_that_are(raced):
    rules = {
        "speed": "choose from round, steps, samples, bits-sent",
        "accuracy": r"did you mean 'test-accuracy'\?",
    }
    for ask in (analysis.summary, analysis.report, analysis.web_report):
        for name, rule in rules.items():
            refused = f"metric = '{name}': isn't measured here; {rule}"
            with pytest.raises(analysis.ResultsError, match=refused):
                ask(raced.folder, metric=name)
    assert not (raced.folder / "report").exists()


def test_without_training_only_what_the_clock_measures_can_be_asked_for(fabricate):
    made = fabricate("a", "b")
    made.measure("idle", "low", clock=True)
    for label, idle in (("a", [4.0, 2.0, 1.0]), ("b", [4.0, 1.0, 0.5])):
        more = {"train": False, "metrics": {"idle": idle}}
        made.trial(label, 0, [0, 8, 16], [np.nan] * 3, **more)
    assert "round_s" in analysis.summary(made.folder)
    for more in ({"metric": "test-accuracy"}, {"targets": [0.5]}):
        name = more.get("metric", "train-loss")
        rule = rf"metric = '{name}': isn't measured without training, .* round, .*bits-sent, idle$"
        with pytest.raises(analysis.ResultsError, match=rule):
            analysis.summary(made.folder, **more)
    table = analysis.summary(made.folder, targets=[2.0], metric="idle")
    assert table["time_s"].tolist() == pytest.approx([8, 8 * 2 / 3])
    names = {path.stem for path in analysis.report(made.folder, metric="idle")}
    assert {"idle-vs-time", "speedup-vs-target", "timeline", "speedup"} <= names
    # Asked for or not, a metric beyond the standard ones is drawn.
    assert "idle-vs-time" in {path.stem for path in analysis.report(made.folder)}


def drawn(made, column):
    metrics, trials = analysis.load(made.folder), analysis.trials(made.folder)
    labels = [str(label) for label in metrics["algorithm"].unique()]
    return metrics, trials, style.line_styles(labels), column


def test_an_accuracy_is_drawn_on_a_linear_axis_and_a_loss_on_a_log_one(raced):
    (axes,) = metric_vs_time(*drawn(raced, ACCURACY)).axes
    assert (axes.get_yscale(), axes.get_ylabel()) == ("linear", "test accuracy")
    low, high = axes.get_ylim()
    assert (low, high) == pytest.approx((0.08, 0.52))
    loss = Column("train_loss", "training loss", good="low")
    assert metric_vs_time(*drawn(raced, loss)).axes[0].get_yscale() == "log"
    (axes,) = metric_vs_time(*drawn(raced, COUNT)).axes
    assert axes.get_yscale() == "linear"
    assert axes.get_ylim()[1] > 54  # 3 rounds of 3 workers and 6 samples


def test_harder_accuracies_are_to_the_right(raced):
    _, trials, styles, column = drawn(raced, ACCURACY)
    table = analysis.compare(*read(raced), metric="test-accuracy")
    _, lower = speedup_vs_target(table, trials, styles, column).axes
    assert lower.get_xscale() == "linear"
    left, right = lower.get_xlim()
    assert (left, right) == pytest.approx((0.1 + 0.4 / 60, 0.5))
    assert lower.get_xlabel() == "target test accuracy (harder to the right)"


def test_a_seed_that_diverged_runs_along_the_bad_edge_to_its_cross(fabricate):
    made = fabricate("a")
    accuracies(made, {("a", 0): [0.1, 0.5, 0.8]})
    own = {"metrics": {"test_accuracy": [0.1, 0.3, -5.0]}}
    made.trial("a", 1, [0, 4, 8], [2.0, 1.0, np.nan], diverged_at_s=8.0, **own)
    (axes,) = metric_vs_time(*drawn(made, ACCURACY)).axes
    (cross,) = [line for line in axes.lines if line.get_marker() == "x"]
    assert (*cross.get_xdata(), *cross.get_ydata()) == (8, pytest.approx(0.1))
    assert axes.get_ylim() == pytest.approx((0.1 - 0.035, 0.8 + 0.035))


def test_an_algorithm_that_has_no_such_metric_is_not_in_its_legend(fabricate):
    made = fabricate("rounds", "async")
    made.measure("staleness", "low", clock=True)
    made.trial("rounds", 0, [0, 8], [2.0, 1.0])
    made.trial("async", 0, [0, 8], [2.0, 1.0], metrics={"staleness": [np.nan, 3.0]})
    figure = metric_vs_time(*drawn(made, Column("staleness", "staleness", good="low")))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["async"]


def test_an_accuracy_against_a_swept_value(fabricate):
    made = fabricate("a")
    for load, best in ((1, 0.8), (2, 0.6), (4, 0.2)):
        for seed in (0, 1):
            own = {"metrics": {"test_accuracy": [0.1, best + seed / 10, 0.9]}}
            made.trial("a", seed, [0, 8, 16], [2.0, 1.0, 0.5], sweep={"cluster.load": load}, **own)
    table = values_at(analysis.load(made.folder), "cluster.load", 8.0, ACCURACY)
    assert table["value"].tolist() == pytest.approx([0.85, 0.65, 0.25])
    figure = metric_vs_key(table, "cluster.load", 8.0, style.line_styles(["a"]), ACCURACY)
    (axes,) = figure.axes
    assert (axes.get_ylabel(), axes.get_yscale()) == ("test accuracy at 8 s", "linear")


@pytest.mark.slow
def test_report_and_page_are_about_the_metric_that_is_asked_for(fabricate):
    made = fabricate("slow", "fast")
    made.measure("sharpness", "low", title="sharpness of the minimum", unit="1/m")
    for load in (1, 2):
        for label, step in (("slow", 0.1), ("fast", 0.2)):
            values = 0.1 + step * np.arange(4)
            own = {"test_accuracy": values, "sharpness": 1 / values}
            sweep = {"cluster.load": load}
            made.trial(label, 0, [0, 4, 8, 12], 2 - values, metrics=own, sweep=sweep)
    paths = analysis.web_report(made.folder, targets=[0.25], metric="test-accuracy")
    names = {path.stem for path in paths}
    once = {"test-accuracy-vs-cluster.load", "speedup-vs-cluster.load"}
    each = {"test-accuracy-vs-time", "sharpness-vs-time", "speedup-vs-target", "bits-to-target"}
    assert once | {f"{name}--cluster.load={load}" for name in each for load in (1, 2)} <= names
    assert not any(name.startswith("train-loss") for name in names)
    speedups = pd.read_csv(made.folder / "report" / "speedup.csv")
    assert set(speedups["metric"]) == {"test_accuracy"}
    page, index = (path.read_text(encoding="utf-8") for path in paths[:2])
    for text in (page, index):
        assert "target test accuracy" in text
        assert "Sharpness of the minimum over simulated time, at cluster.load = 1" in text
        assert "Test accuracy at one time against cluster.load" in text
    assert "against the target test accuracy" in page
