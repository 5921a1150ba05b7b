import numpy as np
import pytest
from fabricated import WHY, faulty_rounds

import desim
from desim import analysis


def test_trials_come_in_the_order_of_the_scenario_then_by_seed(fabricate):
    made = fabricate("zebra", "ant")
    for label in ("ant", "zebra"):
        for seed in (10, 2):
            made.decay(label, seed, 4.0)
    metrics = analysis.load(made.folder)
    assert list(metrics["trial"].unique()) == ["zebra_2", "zebra_10", "ant_2", "ant_10"]
    assert list(analysis.trials(made.folder)["trial"]) == list(metrics["trial"].unique())
    assert (metrics.groupby("trial")["time_s"].diff().dropna() > 0).all()


def test_methods_without_a_label_keep_their_order_too(fabricate):
    made = fabricate("zebra", "ant")
    (made.folder / "scenario.toml").write_text(
        'algorithms = [{kind = "mine.methods:zebra", label = ""}, {kind = "ant", label = ""}]'
    )
    for label in ("ant", "zebra"):
        made.decay(label, 0, 4.0)
    assert list(analysis.trials(made.folder)["trial"]) == ["zebra_0", "ant_0"]


def test_sweep_points_come_by_size_and_have_their_own_column(fabricate):
    made = fabricate("a")
    for latency_s in (10.0, 0.5, 2.0):
        made.decay("a", 0, 4.0, sweep={"network.latency_s": latency_s})
    metrics = analysis.load(made.folder)
    assert list(metrics["network.latency_s"].unique()) == [0.5, 2.0, 10.0]


def test_a_sweep_over_whole_tables_is_told_apart_by_its_text(fabricate):
    made = fabricate("a")
    laws = ({"kind": "uniform", "low": 1.0}, {"kind": "pareto", "of": {"kind": "x", "y": [1]}})
    for number, law in enumerate(laws):
        made.decay("a", number, 4.0, sweep={"cluster.speed": law})
    assert list(analysis.trials(made.folder)["cluster.speed"]) == [
        "pareto of=x y=[1]",
        "uniform low=1.0",
    ]


def test_trials_tell_which_of_them_stalled_and_why(fabricate):
    made = fabricate("a")
    made.decay("a", 0, 4.0)
    made.decay("a", 1, 4.0, stalled=WHY)
    found = analysis.trials(made.folder)
    assert found["status"].tolist() == ["finished", "stalled"]
    assert found["stalled"].isna().tolist() == [True, False]
    assert found["stalled"][1] == WHY
    assert "stalled" not in analysis.load(made.folder)


def test_trials_tell_which_have_a_server_and_in_which_message_one_diverged(fabricate):
    made = fabricate("old", "served", "norm")
    made.decay("old", 0, 4.0)  # of a time when manifests knew neither
    made.decay("served", 0, 4.0, server=True)
    made.trial("norm", 0, [0, 5], [2.0, np.nan], diverged_at_s=5.0, diverged="message 7")
    finished = analysis.trials(made.folder)
    assert finished["server"].tolist() == [False, True, False]
    assert finished["server"].dtype == bool
    assert finished["diverged"].isna().tolist() == [True, True, False]
    assert finished["diverged"].iloc[-1] == "message 7"


def test_an_unfinished_trial_is_ignored(fabricate):
    made = fabricate("a")
    whole = made.decay("a", 0, 4.0)
    made.decay("a", 1, 4.0, finished=False)
    assert list(analysis.load(made.folder)["trial"].unique()) == [whole]


def test_a_folder_that_is_not_there_says_so(tmp_path):
    with pytest.raises(analysis.ResultsError, match=r"nowhere: no such folder; .*desim run"):
        analysis.load(tmp_path / "nowhere")
    for kind in (desim.DesimError, desim.ResultsError, ValueError):
        with pytest.raises(kind, match="no such folder"):
            analysis.load(tmp_path / "nowhere")


READERS = {
    "run": (
        analysis.load,
        analysis.trials,
        analysis.curves,
        analysis.summary,
        analysis.report,
        analysis.web_report,
        lambda folder: analysis.trace(folder, "a_0"),
    ),
    "tuning": (analysis.load_candidates, analysis.report_tuning),
    "fit": (analysis.load_fit, analysis.report_fit),
}


@pytest.mark.parametrize(("kind", "read"), [(k, r) for k, rs in READERS.items() for r in rs])
def test_a_folder_of_another_kind_or_of_none_is_refused(fabricate, kind, read):
    made = fabricate("a")
    made.decay("a", 0, 4.0)
    for other, command in (("run", "run"), ("tuning", "tune"), ("fit", "fit")):
        if other != kind:
            made.describe(other)
            with pytest.raises(
                analysis.ResultsError,
                match=f"results: holds what `desim {command}` wrote; pass what",
            ):
                read(made.folder)
    for text, wrong in (
        ("[", "Expecting value"),
        ("[]", "it must be a table"),
        ("null", "it must be a table"),
        ("{}", "it has no kind"),
        ('{"kind": [], "metrics": [], "sweep": [], "metric": "a"}', r"kind = \[\]: must be one of"),
        ('{"kind": "run", "metrics": {}, "sweep": [], "metric": "a"}', "metrics and sweep must be"),
        ('{"kind": "run", "metrics": [1], "sweep": [], "metric": "a"}', r"metrics\.0 must be a t"),
        ('{"kind": "run", "metrics": [{}], "sweep": [], "metric": "a"}', r"metrics\.0 has no name"),
    ):
        (made.folder / "results.json").write_text(text)
        rule = rf"results.json: can't be read as a description of results \({wrong}"
        with pytest.raises(analysis.ResultsError, match=rule):
            read(made.folder)
    (made.folder / "results.json").unlink()
    with pytest.raises(analysis.ResultsError, match=r"results: has no results.json, so"):
        read(made.folder)


def test_a_column_that_the_schema_does_not_name_is_no_sweep_key(fabricate):
    made = fabricate("a")
    made.measure("sharpness", "low")
    for value in (1, 2):
        made.decay("a", 0, 4.0, sweep={"cluster.load": value}, metrics={"sharpness": [1.0] * 9})
    schema = analysis.load_schema(made.folder)
    assert schema.sweep == ("cluster.load",)
    assert schema.column("sharpness").good == "low"
    metrics = analysis.load(made.folder)
    assert metrics["sharpness"].tolist() == [1.0] * 18
    # A key that a trial has no value of is missing there; columns of nobody's are left alone.
    table = analysis.compare(metrics.assign(mine=3), schema, [1.0])
    assert "mine" not in table
    assert table["cluster.load"].tolist() == [1, 2]


def test_a_metric_of_other_trials_is_nan(fabricate):
    made = fabricate("a")
    made.decay("a", 0, 4.0)
    made.measure("sharpness", "low")
    made.describe()
    assert analysis.load(made.folder)["sharpness"].isna().all()
    assert analysis.summary(made.folder, metric="sharpness")["reached"].tolist() == [0]


def test_a_scenario_that_is_gone_is_missed(fabricate):
    made = fabricate("a")
    made.decay("a", 0, 4.0)
    (made.folder / "scenario.toml").write_text("")
    with pytest.raises(
        analysis.ResultsError, match=r"scenario.toml: is damaged \(it is empty\); re"
    ):
        analysis.trials(made.folder)
    (made.folder / "scenario.toml").unlink()
    with pytest.raises(analysis.ResultsError, match=r"scenario.toml: can't be read"):
        analysis.trials(made.folder)


def test_a_folder_without_a_finished_trial_says_how_many_are_unfinished(fabricate):
    made = fabricate("a")
    made.decay("a", 0, 4.0, finished=False)
    with pytest.raises(analysis.ResultsError, match=r"no finished trial \(1 unfinished\)"):
        analysis.summary(made.folder)


def test_a_timeline_is_cut_to_what_is_asked_for(fabricate):
    made = fabricate("a")
    trial = made.decay("a", 0, 4.0)
    rows = analysis.load_timeline(
        made.folder, trial, kinds=["compute", "send"], workers=np.array([0, 2]), until_s=4.0
    )
    assert sorted(zip(rows["worker"], rows["kind"], rows["start_s"], strict=True)) == [
        (0, "compute", 0.0),
        (0, "send", 1.0),
        (2, "compute", 0.0),
        (2, "send", 3.0),
    ]
    assert len(analysis.load_timeline(made.folder, trial)) == 4 * (3 + 3 + 2 + 3)
    assert list(analysis.load_timeline(made.folder, trial, columns=["end_s"])) == ["end_s"]


def test_faults_are_kinds_of_interval(fabricate):
    made = fabricate("a")
    trial = made.decay("a", 0, 4.0, timeline=faulty_rounds())
    rows = analysis.load_timeline(made.folder, trial, kinds=["down", "drop", "compress"])
    assert list(zip(rows["kind"], rows["start_s"], rows["end_s"], rows["peer"], strict=True)) == [
        ("down", 5.0, 7.0, -1),
        ("drop", 4.5, 5.5, 0),
        ("compress", 7.0, 7.5, -1),
    ]


def test_a_timeline_of_an_unknown_trial_or_kind_is_refused(fabricate):
    made = fabricate("a")
    trial = made.decay("a", 0, 4.0)
    with pytest.raises(analysis.ResultsError, match=r"'b_0': no finished trial"):
        analysis.load_timeline(made.folder, "b_0")
    with pytest.raises(analysis.ResultsError, match=r"knows only compute, wait"):
        analysis.load_timeline(made.folder, trial, kinds=["sleep"])
