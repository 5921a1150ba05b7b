"""What `desim tune` tried is drawn so that failures are seen and cover nothing."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from desim.analysis import style
from desim.analysis.figures.sensitivity import sensitivity
from desim.schema.results import Column

LOSS = Column("train_loss", "training loss", good="low")
VALUES = (0.5, 1.0, 2.0, 4.0)


def candidates(methods: int, failing: int) -> pd.DataFrame:
    """Each method is best at 1; the largest step size diverges for the first few of them."""
    rows: list[dict[str, Any]] = []
    for number in range(methods):
        for value in VALUES:
            failed = value == VALUES[-1] and number < failing
            score = np.inf if failed else 10.0 + number + abs(np.log2(value))
            row = {"algorithm": f"method {number}", "parameter": "alpha", "value": value}
            row |= {"epsilon": np.nan, "seed": 0, "objective": "loss at 50 s", "target": None}
            rows.append(row | {"score": score, "best": value == 1, "own": False})
    return pd.DataFrame(rows)


def drawn(methods: int, failing: int) -> Figure:
    table = candidates(methods, failing)
    with style.applied():
        figure = sensitivity(table, style.line_styles(list(table["algorithm"].unique())), LOSS)
        figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize(("methods", "failing"), [(1, 1), (4, 2), (16, 16)])
def test_candidates_that_failed_stand_in_a_strip_between_the_legend_and_the_axes(
    methods: int, failing: int
) -> None:
    figure = drawn(methods, failing)
    strip, axes = figure.axes
    assert [list(line.get_xdata()) for line in strip.lines] == [[VALUES[-1]]] * failing
    assert [label.get_text() for label in strip.get_yticklabels()] == ["failed"]
    assert strip.get_xlim() == axes.get_xlim()
    (legend,) = figure.legends
    box = strip.get_window_extent()
    assert axes.get_window_extent().y1 <= box.y0
    assert box.y1 <= legend.get_window_extent().y0
    assert axes.get_window_extent().height / figure.dpi > 2.5  # in


def test_without_failures_there_is_no_strip() -> None:
    (axes,) = drawn(3, 0).axes
    assert axes.get_ylabel() == "loss at 50 s"
