import matplotlib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fabricated import WHY, faulty_rounds
from matplotlib.lines import Line2D

from desim import analysis
from desim.analysis import style
from desim.analysis.at_time import earliest_end_s, values_at
from desim.analysis.comparison import compare
from desim.analysis.figures.bits_to_target import bits_to_target
from desim.analysis.figures.label_distribution import label_distribution
from desim.analysis.figures.metric_vs_time import metric_vs_time
from desim.analysis.figures.speedup_vs_key import speedup_vs_key
from desim.analysis.figures.speedup_vs_target import speedup_vs_target
from desim.analysis.figures.time_share import time_share
from desim.analysis.figures.timeline import (
    BARS,
    timeline,
)
from desim.analysis.time_shares import time_shares
from desim.schema.results import Column

LOSS = Column("train_loss", "training loss", good="low")
CLOCK = {"timeline", "time-share"}
ALL = {"train-loss-vs-time", "speedup-vs-target", "bits-to-target"} | CLOCK


@pytest.fixture
def run(fabricate):
    made = fabricate("DSGD", "QuanTimed", "norm")
    for seed in (0, 1):
        made.decay("DSGD", seed, 8.0 + seed, evaluations=6)
        made.decay("QuanTimed", seed, 4.0)
    made.decay("norm", 0, 8.0)
    made.trial("norm", 1, [0, 5, 10], [2.0, 1e30, np.nan], diverged_at_s=10.0)
    return made


def pictures(paths):
    return {path.stem for path in paths if path.suffix in (".png", ".svg")}


def test_a_report_has_every_figure_twice_a_table_and_an_index(run):
    paths = analysis.report(run.folder)
    assert pictures(paths) == ALL
    assert len(paths) == 2 * len(ALL) + 2
    assert all(path.parent == run.folder / "report" for path in paths)
    assert all(path.stat().st_size > 200 for path in paths)
    index = paths[0].read_text()
    assert "# fabricated" in index
    assert "![Training loss over simulated time](train-loss-vs-time.png)" in index
    assert "diverged, first at 10 s" in index


@pytest.mark.slow
def test_the_same_results_give_the_same_bytes_and_matplotlib_is_left_alone(run):
    before = dict(matplotlib.rcParams)
    first = {path: path.read_bytes() for path in analysis.report(run.folder)}
    assert {path: path.read_bytes() for path in analysis.report(run.folder)} == first
    assert dict(matplotlib.rcParams) == before


def test_axes_are_labelled_with_units(run):
    metrics, finished = analysis.load(run.folder), analysis.trials(run.folder)
    styles = style.line_styles(list(metrics["algorithm"].unique()))
    table = compare(metrics, analysis.load_schema(run.folder))
    labels = [
        [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes]
        for figure in (
            metric_vs_time(metrics, finished, styles, LOSS),
            speedup_vs_target(table, finished, styles, LOSS),
            bits_to_target(table, finished, styles, LOSS),
            time_share(time_shares(run.folder, finished)),
        )
    ]
    target = "target training loss (harder to the right)"
    assert labels == [
        [("simulated time [s]", "training loss")],
        [("", "time to target [s]"), (target, "speedup over DSGD")],
        [(target, "bits to target, all links [bit]")],
        [("share of worker time [%]", "algorithm")],
    ]


def test_harder_targets_are_to_the_right_and_losses_are_on_a_log_scale(run):
    metrics, finished = analysis.load(run.folder), analysis.trials(run.folder)
    styles = style.line_styles(list(metrics["algorithm"].unique()))
    table = compare(metrics, analysis.load_schema(run.folder))
    upper, lower = speedup_vs_target(table, finished, styles, LOSS).axes
    left, right = lower.get_xlim()
    assert left > right
    assert upper.get_xscale() == "log"
    (axes,) = metric_vs_time(metrics, finished, styles, LOSS).axes
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[1] < 3  # not the 1e30 of the diverged seed


def test_each_algorithm_has_its_own_colour_dashes_and_marker():
    styles = style.line_styles(list("abcdef"))
    for feature in ("colour", "dashes", "marker"):
        assert len({getattr(line, feature) for line in styles.values()}) == len(styles)


def test_of_thirty_algorithms_no_two_have_the_same_colour_or_the_same_dashes_and_marker():
    styles = style.line_styles([str(n) for n in range(30)]).values()
    assert len({line.colour for line in styles}) == 30
    assert len({(line.dashes, line.marker) for line in styles}) == 30


def test_a_timeline_shows_the_slowest_first_over_three_rounds_of_the_slowest_method(run):
    finished, metrics = analysis.trials(run.folder), analysis.load(run.folder)
    panels = timeline(run.folder, finished, metrics).axes
    assert [axes.get_title(loc="left") for axes in panels] == ["DSGD", "QuanTimed", "norm"]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["2", "1", "0"]
    assert panels[-1].get_xlim() == pytest.approx((0.0, 12.0))  # a round is 4 s
    assert panels[-1].get_xlabel() == "simulated time [s]"


def test_beside_a_much_faster_method_one_round_of_the_slowest_is_shown(run):
    finished, metrics = analysis.trials(run.folder), analysis.load(run.folder)
    metrics.loc[metrics["algorithm"] == "QuanTimed", "round"] *= 1000
    assert timeline(run.folder, finished, metrics).axes[0].get_xlim() == pytest.approx((0.0, 4.0))


def test_sending_beside_computing_is_drawn_and_few_workers_are_enough(fabricate):
    made = fabricate("overlapped")
    rows = [
        {"worker": worker, "step": step, "kind": kind, "peer": -1, "bits": 0, "samples": 6}
        | {"start_s": float(start_s), "end_s": start_s + 1.0}
        for worker in range(3)
        for step in range(16)
        for kind, start_s in (("compute", step), ("send", step + 1))
    ]
    made.decay("overlapped", 0, 4.0, timeline=rows)
    finished, metrics = analysis.trials(made.folder), analysis.load(made.folder)
    (axes,) = timeline(made.folder, finished, metrics, workers=1, until_s=3.5).axes
    strip = axes.collections[len(BARS)]
    assert len(strip.get_paths()) == 3  # the sends that start before 3.5 s
    assert len(axes.get_yticks()) == 1


def test_without_training_only_the_clock_is_drawn(fabricate):
    made = fabricate("a", "b")
    for label in ("a", "b"):
        made.trial(label, 0, [0, 8, 16], [np.nan] * 3, train=False)
    paths = analysis.report(made.folder)
    assert pictures(paths) == CLOCK
    assert "time per round" in paths[0].read_text()


@pytest.mark.slow
def test_each_of_few_sweep_points_has_its_figures_and_each_numeric_key_one(fabricate):
    made = fabricate("a", "b")
    for latency_s in (0.0, 1.0):
        made.decay("a", 0, 8.0 + latency_s, sweep={"network.latency_s": latency_s})
        made.decay("b", 0, 4.0, sweep={"network.latency_s": latency_s})
    found = pictures(analysis.report(made.folder))
    points = {f"{name}--network.latency_s={value}" for name in ALL for value in (0, 1)}
    assert found == points | {f"{what}-vs-network.latency_s" for what in ("speedup", "train-loss")}


def test_many_sweep_points_share_one_figure_per_key(fabricate):
    made = fabricate("a", "b")
    for load in range(1, 6):
        made.decay("a", 0, 8.0 * load, sweep={"cluster.load": load, "cluster.law": "uniform"})
        made.decay("b", 0, 4.0, sweep={"cluster.load": load, "cluster.law": "uniform"})
    found = pictures(analysis.report(made.folder))
    assert found == {f"{w}-vs-cluster.load--cluster.law=uniform" for w in ("speedup", "train-loss")}


def test_a_sweep_figure_has_the_swept_value_with_its_unit(fabricate):
    made = fabricate("a", "b")
    for latency_s in (0.01, 1.0):
        made.decay("a", 0, 8.0 + latency_s, sweep={"network.latency_s": latency_s})
        made.decay("b", 0, 4.0, sweep={"network.latency_s": latency_s})
    table = compare(analysis.load(made.folder), analysis.load_schema(made.folder), [1.0])
    figure = speedup_vs_key(table, "network.latency_s", style.line_styles(["a", "b"]), LOSS)
    upper, lower = figure.axes
    assert upper.get_ylabel() == "time to target [s]"
    assert lower.get_xlabel() == "latency [s]"
    assert lower.get_xscale() == "log"


def test_a_sweep_without_training_shows_the_pace(fabricate):
    made = fabricate("a")
    for workers in (10, 100, 1000, 10000, 100000):
        sweep = {"cluster.workers": workers}
        made.trial("a", 0, [0, 8, 16], [np.nan] * 3, sweep=sweep, train=False)
    assert pictures(analysis.report(made.folder)) == {"round-time-vs-cluster.workers"}


@pytest.mark.slow
def test_a_part_of_a_run_is_reported_as_a_part(fabricate):
    made = fabricate("a", "b")
    for latency_s in (0.0, 1.0):
        sweep = {"network.latency_s": latency_s}
        made.decay("a", 0, 8.0, sweep=sweep, finished=latency_s == 0)
        made.decay("b", 0, 4.0, sweep=sweep)
    (made.folder / "manifest.json").unlink()
    paths = analysis.report(made.folder)
    assert "1 unfinished: the run is not complete" in paths[0].read_text()
    # At the second point the baseline is missing: no speedup there, and no other baseline.
    assert "speedup-vs-target--network.latency_s=1" not in pictures(paths)
    assert "train-loss-vs-time--network.latency_s=1" in pictures(paths)


def test_losses_that_are_not_positive_are_drawn_on_a_linear_scale(fabricate):
    made = fabricate("a", "b")
    made.trial("a", 0, [0, 8, 16], [1.0, 0.0, -1.0])
    made.trial("b", 0, [0, 8, 16], [1.0, 0.5, 0.0])
    assert pictures(analysis.report(made.folder)) == ALL


def hold(run, counts):
    """Every trial's workers hold so many samples of each class."""
    rows = [
        {"worker": worker, "label": label, "samples": samples}
        for worker, row in enumerate(counts)
        for label, samples in enumerate(row)
        if samples
    ]
    for home in (run.folder / "trials").iterdir():
        pq.write_table(pa.Table.from_pylist(rows), home / "labels.parquet")


def test_label_distribution_is_drawn_where_there_are_classes(run):
    hold(run, [[3, 0, 1], [0, 0, 4]])
    paths = analysis.report(run.folder)
    assert pictures(paths) == {*ALL, "label-distribution"}
    labels = analysis.load_labels(run.folder, analysis.trials(run.folder)["trial"].iloc[0])
    assert labels.to_numpy().tolist() == [[3, 0, 1], [0, 0, 4]]
    axes, bar = label_distribution(labels).axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("worker", "class")
    assert bar.get_ylabel() == "samples"
    (drawn,) = axes.collections
    np.testing.assert_array_equal(drawn.get_array(), labels.to_numpy().T)
    # Shades of grey, from white for nothing to black for the most.
    red, green, blue, _ = drawn.cmap(drawn.norm(np.array([0, 1, 4]))).T
    assert (np.abs(red - green) < 0.01).all()
    assert (np.diff(blue) < 0).all()
    assert red[0] == 1


def test_label_distribution_has_the_names_of_the_classes():
    for names in (["airplane", "automobile"], [str(k) for k in range(30)]):
        with style.applied():
            axes, _ = label_distribution(pd.DataFrame(np.eye(4, len(names)), columns=names)).axes
            axes.figure.canvas.draw()
        shown = [label.get_text() for label in axes.get_yticklabels()]
        assert shown == names if len(names) == 2 else len(shown) < 15


def test_label_distribution_is_drawn_for_one_worker_and_for_a_thousand():
    for workers in (1, 1000):
        frame = pd.DataFrame(np.eye(workers, 10, dtype=int))
        with style.applied():
            label_distribution(frame).canvas.draw()


def test_a_run_in_which_everything_diverged_at_once_is_still_reported(fabricate):
    made = fabricate("a")
    made.trial("a", 0, [0, 8], [2.0, np.nan], diverged_at_s=8.0)
    assert pictures(analysis.report(made.folder)) == CLOCK | {"train-loss-vs-time"}


def test_a_stalled_seed_enters_no_mean_and_ends_in_a_bar(fabricate):
    made = fabricate("a", "b")
    made.trial("a", 0, [0, 8, 16], [2.0, 1.0, 0.5])
    made.trial("a", 1, [0, 8], [2.0, 0.2], stalled=WHY)
    made.trial("b", 0, [0, 8], [2.0, 0.3], stalled=WHY)
    metrics, finished = analysis.load(made.folder), analysis.trials(made.folder)
    figure = metric_vs_time(metrics, finished, style.line_styles(["a", "b"]), LOSS)
    (axes,) = figure.axes
    bars = [line for line in axes.lines if line.get_marker() == "|"]
    means = [line for line in axes.lines if line.get_linewidth() > 1 and line not in bars]
    assert [list(line.get_ydata()) for line in means] == [[2.0, 1.0, 0.5]]
    assert [(*line.get_xdata(), *line.get_ydata()) for line in bars] == [(8, 0.2), (8, 0.3)]
    assert axes.get_ylim()[0] < 0.2
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "stalled"]
    assert legend.get_title().get_text().endswith("without the stalled")


@pytest.mark.slow
def test_a_stalled_trial_is_named_in_the_index_and_cuts_no_comparison_short(fabricate):
    made = fabricate("a", "b")
    for value in (1.0, 2.0):
        sweep = {"cluster.load": value}
        made.trial("a", 0, [0, 8, 16], [2.0, 1.0, 0.5], sweep=sweep)
        made.trial("b", 0, [0, 4], [2.0, 1.5], sweep=sweep, stalled=WHY)
    index = analysis.report(made.folder)[0].read_text()
    assert f"- b\\_1.0\\_0 stalled: {WHY}" in index
    metrics, finished = analysis.load(made.folder), analysis.trials(made.folder)
    assert earliest_end_s(metrics, finished) == 16
    # Nothing changes any more where nobody can go on.
    table = values_at(metrics, "cluster.load", 16.0, LOSS)
    assert table.loc[table["algorithm"] == "b", "value"].tolist() == [1.5, 1.5]


def test_trials_that_all_stalled_at_once_are_still_reported(fabricate):
    made = fabricate("a")
    nobody = [row for row in faulty_rounds() if row["kind"] == "down"]
    made.trial("a", 0, [0], [2.0], stalled=WHY, time_end_s=0.0, timeline=nobody)
    assert pictures(analysis.report(made.folder)) == CLOCK | {"train-loss-vs-time"}
    assert analysis.web_report(made.folder)


def test_a_report_of_methods_with_and_without_a_server_says_whose_time_it_shows(fabricate):
    made = fabricate("DSGD", "served")
    made.decay("DSGD", 0, 8.0)
    made.decay("served", 0, 8.0, server=True)
    assert pictures(analysis.report(made.folder)) == ALL
    shares = time_shares(made.folder, analysis.trials(made.folder))
    titles = [
        time_share(shares, served=served).legends[0].get_title().get_text()
        for served in (True, False)
    ]
    assert titles == ["the server's time is left out", ""]


def test_a_long_legend_takes_nothing_from_the_axes():
    heights = []
    for count in (4, 16):
        labels = [f"a method's label {number}" for number in range(count)]
        with style.applied():
            figure = style.new_figure(4.4)
            axes = figure.subplots()
            style.legend_above(figure, style.curve_handles(style.line_styles(labels), labels))
            figure.draw_without_rendering()
        heights.append(axes.get_position().height * figure.get_figheight())
    assert heights[1] > 0.9 * heights[0]
    assert heights[1] > 2.5  # in, of 4.4


def test_bands_are_fainter_where_there_are_many():
    few, many = style.band_alpha(3), style.band_alpha(15)
    assert few == style.band_alpha(1)
    assert 0 < many < 0.6 * few


@pytest.mark.parametrize("labels", [["a"], ["long label " * 3] * 5, ["DSGD", "QuanTimed " * 4]])
def test_a_legend_is_no_wider_than_its_figure(labels: list[str]) -> None:
    figure = style.new_figure(4.0)
    figure.subplots()
    style.legend_above(figure, [Line2D([], [], label=label) for label in labels])
    [legend] = figure.legends
    assert legend.get_window_extent().width <= figure.bbox.width
