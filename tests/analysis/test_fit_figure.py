"""The figure of fitted straggler laws draws the curves of the files, of whatever laws these are."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from desim.analysis import style
from desim.analysis.figures.fit import fit

X = np.geomspace(0.5, 8, 50)
PARTS = [{"kind": "lognormal"}, {"kind": "pareto"}, {"kind": "lognormal"}]
MIXTURE = json.dumps({"kind": "mixture", "models": PARTS})
TABLES = {"mine.laws:Gamma": "{}", "pareto": "{}", "mixture": MIXTURE}
HEIGHTS = {"mine.laws:Gamma": 0.3, "pareto": 0.2, "mixture": 0.1}


def figure(places: dict[str, int]) -> Figure:
    """Flat densities and tails of the given heights; the best law comes first."""
    laws = pd.DataFrame(
        [{"law": law, "place": place, "table": TABLES[law]} for law, place in places.items()]
    )
    curves = pd.concat(
        pd.DataFrame({"law": law, "seconds_per_sample": X, "density": height, "tail": 2 * height})
        for law, height in HEIGHTS.items()
    )
    with style.applied():
        return fit(laws, pd.DataFrame({"seconds_per_sample": np.linspace(1, 4, 30)}), curves)


def lines(figure: Figure, panel: int) -> list[Line2D]:
    """The curves; measured steps are dots without a line."""
    return [line for line in figure.axes[panel].lines if line.get_linestyle() != "None"]


def legend(figure: Figure) -> dict[str, Any]:
    (found,) = figure.legends
    entries = zip(found.get_texts(), found.legend_handles, strict=True)
    return {
        text.get_text(): handle.get_color()
        for text, handle in entries
        if text is not None and isinstance(handle, Line2D)
    }


def test_curves_are_drawn_as_they_are_stored() -> None:
    drawn = figure({"mine.laws:Gamma": 2, "pareto": 1, "mixture": 0})
    for panel in (0, 1):
        found = lines(drawn, panel)
        assert len(found) == 3
        for line, height in zip(found, HEIGHTS.values(), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), X)
            # Left the density of ln x, right the tail.
            expected = 2 * height if panel else height * X
            np.testing.assert_allclose(line.get_ydata(), expected)
        assert drawn.axes[panel].get_xlim() == pytest.approx((X[0], X[-1]))


def test_the_legend_says_what_a_mixture_consists_of_and_which_law_is_best() -> None:
    found = list(legend(figure({"mine.laws:Gamma": 2, "pareto": 1, "mixture": 0})))
    assert found == ["measured step", "mine.laws:Gamma (best)", "pareto", "2 x lognormal + pareto"]


def test_a_law_has_the_same_colour_whichever_is_best_or_left_out() -> None:
    one = legend(figure({"mine.laws:Gamma": 5, "pareto": 1, "mixture": 0}))
    other = legend(figure({"pareto": 1, "mine.laws:Gamma": 5}))
    assert one["mine.laws:Gamma (best)"] == other["mine.laws:Gamma"]
    assert one["pareto"] == other["pareto (best)"]
    assert one["pareto"] != one["mine.laws:Gamma (best)"]
