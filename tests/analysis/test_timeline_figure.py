"""The figure `timeline`: who is shown, when steps begin, faults and servers."""

import numpy as np
import pandas as pd
import pytest
from fabricated import SERVER, WHY, faulty_rounds, served_rounds, span

from desim import analysis
from desim.analysis import style
from desim.analysis.figures.time_share import time_share
from desim.analysis.figures.timeline import (
    BARS,
    timeline,
)
from desim.analysis.shown import new_models_s, spread_by_speed, workers_shown
from desim.analysis.time_shares import time_shares


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_faults_are_in_the_legends_where_they_are(fabricate):
    made = fabricate("a", "b")
    made.decay("a", 0, 8.0, timeline=faulty_rounds())
    made.decay("b", 0, 8.0)
    finished, metrics = analysis.trials(made.folder), analysis.load(made.folder)
    for label, rare in (("a", {"down", "compress", "dropped message"}), ("b", set())):
        part = finished[finished["algorithm"] == label]
        figure = timeline(made.folder, part, metrics)
        assert set(legend_of(figure)) == {"compute", "send", "wait", "new model", "arrival"} | rare
        found = legend_of(time_share(time_shares(made.folder, part)))
        assert set(found) - {"not told"} == {"compute", "send", "wait"} | rare - {"dropped message"}


def test_a_worker_that_is_away_is_among_those_shown(fabricate):
    made = fabricate("a")
    shared = {"step": 0, "peer": -1, "bits": 0}
    rows = [
        shared | span("compute", 0, worker + 1.0) | {"worker": worker, "samples": 6}
        for worker in range(9)
    ]
    gone = shared | span("down", 3.0, 5.0) | {"worker": 3, "samples": 0}
    trial = analysis.trials(made.folder) if made.decay("a", 0, 8.0, timeline=rows) else None
    assert spread_by_speed(made.folder, trial.iloc[0], 9.0, 3) == [8, 4, 0]
    made.decay("a", 1, 8.0, timeline=[*rows, gone])
    other = analysis.trials(made.folder).iloc[1]
    assert spread_by_speed(made.folder, other, 9.0, 3) == [8, 3, 0]


def test_work_cut_off_by_a_crash_and_joining_late_say_nothing_about_speed(fabricate):
    made = fabricate("a")
    shared = {"step": 0, "peer": -1, "bits": 0}
    rows = [
        shared | span("compute", 0, 4) | {"worker": 0, "samples": 0},  # cut off
        shared | span("down", 4, 5) | {"worker": 0, "samples": 0},
        shared | span("compute", 5, 6) | {"worker": 0, "samples": 6},
        shared | span("compute", 0, 2) | {"worker": 1, "samples": 6},
        shared | span("down", 0, 9) | {"worker": 2, "samples": 0},
    ]
    made.decay("a", 0, 8.0, timeline=rows)
    assert spread_by_speed(made.folder, analysis.trials(made.folder).iloc[0], 9.0, 3) == [2, 1, 0]


def test_the_pace_of_a_stalled_method_does_not_stretch_the_timeline(fabricate):
    made = fabricate("a", "b")
    made.decay("a", 0, 8.0)
    made.decay("b", 0, 8.0, stalled=WHY)
    finished, metrics = analysis.trials(made.folder), analysis.load(made.folder)
    metrics.loc[metrics["algorithm"] == "b", "round"] /= 100
    assert timeline(made.folder, finished, metrics).axes[0].get_xlim() == pytest.approx((0.0, 12.0))


@pytest.mark.parametrize(
    ("first", "sends", "new_models"),
    [
        # Numbered by rounds, of which two were missed.
        ("compute", [(1, 0), (5, 3), (9, 4)], [4, 8]),
        ("send", [(0, 0), (3, 1), (7, 2)], [3, 7]),
    ],
)
def test_steps_begin_with_what_a_method_does_first(first, sends, new_models):
    """Rounds of 4 s: compute for 1 s at the beginning, or after sending for 1 s."""
    late = 0 if first == "compute" else 1
    computes = [(4 * k + late - (late if k else 0), k) for k in range(3)]
    rows = [
        {"kind": kind, "start_s": float(start), "end_s": start + 1.0, "step": step}
        for kind, many in (("compute", computes), ("send", sends))
        for start, step in many
    ]
    assert new_models_s(pd.DataFrame(rows)).tolist() == new_models


def test_the_steps_of_a_server_begin_with_what_it_sends():
    rows = pd.DataFrame(served_rounds())
    assert new_models_s(rows[rows["worker"] == SERVER]).tolist() == [2.5, 6.5, 10.5, 14.5]
    for worker in range(3):
        assert new_models_s(rows[rows["worker"] == worker]).tolist() == [4, 8, 12]


def test_several_gradients_and_answers_to_others_belong_to_one_step():
    """Two gradients a step; what is told to others meanwhile has the step of its time."""
    rows = [
        {"kind": kind, "start_s": float(start), "end_s": start + length, "step": step}
        for kind, start, length, step in (
            ("compute", 0, 1, 0),
            ("send", 0.5, 1, 0),
            ("compute", 1, 1, 0),
            ("send", 2, 1, 0),
            ("wait", 3, 1, 0),
            ("compute", 4, 1, 1),
            ("send", 4.5, 1, 1),
            ("compute", 5, 1, 1),
            ("wait", 6, 2, 1),
            ("compute", 8, 1, 2),
        )
    ]
    assert new_models_s(pd.DataFrame(rows)).tolist() == [4, 8]


def test_a_server_has_a_lane_below_the_workers_of_its_method_alone(fabricate):
    made = fabricate("DSGD", "served")
    made.decay("DSGD", 0, 8.0)
    made.decay("served", 0, 8.0, server=True)
    finished, metrics = analysis.trials(made.folder), analysis.load(made.folder)
    assert finished["server"].tolist() == [False, True]
    with style.applied():
        figure = timeline(made.folder, finished, metrics)
        figure.draw_without_rendering()
    plain, served = figure.axes
    assert [label.get_text() for label in plain.get_yticklabels()] == ["2", "1", "0"]
    assert [label.get_text() for label in served.get_yticklabels()] == ["2", "1", "0", "server"]
    assert served.get_yticks()[-1] > 3  # apart from the workers
    # A lane is as high in either panel.
    heights = [
        axes.get_position().height / abs(np.diff(axes.get_ylim())[0]) for axes in figure.axes
    ]
    assert heights[0] == pytest.approx(heights[1], rel=0.03)
    # Its waits are one between two models, and so are the three answers.
    waits, sends = (served.collections[3 * (len(BARS) + 2) + place] for place in (0, 1))
    assert [len(bars.get_paths()) for bars in (waits, sends)] == [3, 3]


def test_many_methods_are_drawn_with_fewer_workers_each():
    assert [workers_shown(methods) for methods in (1, 8, 9, 12, 16, 30)] == [6, 6, 5, 4, 3, 3]
