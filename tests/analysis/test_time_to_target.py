import numpy as np
import pytest

from desim import analysis


def read(made):
    return analysis.load(made.folder), analysis.load_schema(made.folder)


def times(made, targets):
    return analysis.time_to_target(*read(made), targets)["time_s"].tolist()


def test_the_crossing_lies_on_the_line_between_two_evaluations(fabricate):
    made = fabricate("a")
    made.trial("a", 0, [0, 10, 20], [3.0, 2.0, 1.0])
    assert times(made, [2.5, 2.0, 1.25]) == pytest.approx([5.0, 10.0, 17.5])


def test_bits_are_interpolated_like_time(fabricate):
    made = fabricate("a")
    made.trial("a", 0, [0, 4, 8], [3.0, 2.0, 1.0])  # 1,000 bits per round of 4 s
    found = analysis.bits_to_target(*read(made), [1.5])
    assert found["bits_sent"].tolist() == pytest.approx([1500.0])


def test_a_target_met_from_the_start_takes_no_time_and_one_never_met_is_nan(fabricate):
    made = fabricate("a")
    made.trial("a", 0, [0, 10], [3.0, 2.0])
    assert times(made, [3.5, 3.0, 1.9]) == pytest.approx([0.0, 0.0, np.nan], nan_ok=True)


def test_the_first_crossing_counts_even_if_the_loss_rises_again(fabricate):
    made = fabricate("a")
    made.trial("a", 0, [0, 10, 20, 30], [3.0, 1.0, 2.0, 0.5])
    assert times(made, [2.0]) == pytest.approx([5.0])


@pytest.mark.parametrize("gap", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_is_no_end_of_a_line(fabricate, gap):
    made = fabricate("a")
    made.trial("a", 0, [0, 10, 20], [3.0, gap, 1.0])
    assert times(made, [1.5]) == pytest.approx([20.0])


def test_a_loss_that_stays_infinite_reaches_nothing(fabricate):
    made = fabricate("a")
    made.trial("a", 0, [0, 10, 20, 30], [3.0, 2.0, np.inf, np.inf])
    assert times(made, [2.5, 1.0]) == pytest.approx([5.0, np.nan], nan_ok=True)


def test_a_stalled_trial_reaches_what_it_reached_before_and_nothing_after(fabricate):
    made = fabricate("a")
    made.trial("a", 0, [0, 10, 20], [3.0, 2.0, 2.0], stalled="at 20 s")
    assert times(made, [2.5, 2.0, 1.9]) == pytest.approx([5.0, 10.0, np.nan], nan_ok=True)


def test_the_grid_runs_from_below_the_lowest_start_to_the_lowest_loss(fabricate):
    made = fabricate("a", "b")
    made.trial("a", 0, [0, 10], [3.0, 0.5])
    made.trial("b", 0, [0, 10], [2.0, 1.0])
    grid = analysis.target_grid(*read(made), points=4)
    assert grid == pytest.approx(2.0 * 0.25 ** np.array([0.25, 0.5, 0.75, 1.0]))
    assert not np.isnan(times(made, grid[-1:])[0])  # somebody reached the last


def test_the_grid_is_even_where_losses_are_not_positive(fabricate):
    made = fabricate("a")
    made.trial("a", 0, [0, 10], [1.0, -1.0])
    grid = analysis.target_grid(*read(made), points=4)
    assert grid == pytest.approx([0.5, 0.0, -0.5, -1.0])


@pytest.mark.parametrize(
    ("start", "low", "expected"),
    [
        (2.3, 0.4, [2.0, 1.0, 0.5]),
        (2.3, 0.75, [2.0, 1.5, 1.0]),
        (2.3, 0.1, [2.0, 1.0, 0.5, 0.2, 0.1]),
        (1000.0, 0.001, [100.0, 10.0, 1.0, 0.01, 0.001]),
        (0.693, 0.61, [0.68, 0.66, 0.64, 0.62]),
        (1.0, -1.0, [0.5, 0.0, -0.5, -1.0]),
        (1.0, 1.0, []),
    ],
)
def test_a_few_round_targets_span_the_range(fabricate, start, low, expected):
    made = fabricate("a")
    made.trial("a", 0, [0, 10], [start, low])
    assert analysis.round_targets(*read(made)).tolist() == pytest.approx(expected)
