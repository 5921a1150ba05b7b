"""What the page is made of: words, figures, intervals and where they come from."""

import hashlib
import json
import re
import shlex
from xml.etree import ElementTree

import numpy as np
import pytest
from fabricated import WHY, faulty_rounds, span

from desim import analysis
from desim.analysis.errors import ResultsError
from desim.analysis.web.lanes import KINDS, kinds_in, scenes
from desim.analysis.web.provenance import provenance
from desim.analysis.web.vector import inlined
from desim.analysis.web.words import methods, sentences

SCENARIO = {
    "name": "words",
    "seeds": [0, 1, 2],
    "problem": {"dataset": {"kind": "digits"}, "model": "Net", "samples_per_worker": 1000},
    "cluster": {"workers": 50, "stragglers": {"kind": "uniform-speed", "low": 10.0, "high": 90.0}},
    "network": {
        "topology": {"kind": "erdos-renyi", "p": 0.4},
        "mixing": {"kind": "laplacian"},
        "link": {
            "kind": "dedicated",
            "latency_s": {"low": 0.0, "high": 0.5},
            "bandwidth_bps": 40000.0,
        },
    },
    "stop": {"time_s": 600.0, "rounds": 10},
    "evaluate": {"every_s": 10.0},
    "algorithms": [
        {"kind": "dsgd", "label": "DSGD", "batch": 20, "step_size": {"kind": "constant"}},
        {"kind": "mine:Own", "label": "", "deadline_s": 0.5, "wait_s": 2.0, "on": True},
    ],
    "sweep": {"cluster.stragglers.low": [1, 5, 10]},
}


def test_a_scenario_is_told_in_sentences():
    assert dict(sentences(SCENARIO)) == {
        "Cluster": "50 workers. Each computes at between 10 and 90 samples/s, drawn anew at every "
        "step.",
        "Network": "The workers form a graph: erdos-renyi (p = 0.4); weights of the average: "
        "laplacian. Every directed link is a wire of its own: bandwidth 40 kbit/s, latency 0 to "
        "0.5 s (drawn for each).",
        "Problem": "Data: digits. Model: Net. Each worker holds 1,000 samples.",
        "End": "A trial ends at 600 simulated s or 10 rounds (mean local steps per worker), "
        "whichever comes first. The mean model is evaluated every 10 simulated s.",
        "Seeds": "One trial of each method for seeds 0, 1 and 2.",
        "Sweep": "cluster.stragglers.low takes the values 1, 5 and 10.",
    }
    assert methods(SCENARIO) == [
        ("DSGD", "Method dsgd. Batches of 20 samples. Step size: constant."),
        (
            "Own",
            "Method mine:Own. Computes for 0.5 simulated s in every step. Further: wait 2 s, "
            "on = True.",
        ),
    ]


def test_targets_rules_and_metrics_that_are_asked_for_are_told():
    target = {"kind": "target", "metric": {"kind": "test-accuracy", "label": ""}, "value": 0.85}
    ends = {"rounds": 5, "target": target, "rules": [{"kind": "mine:Plateau", "patience": 3}]}
    asked = [{"kind": "staleness-max", "label": ""}, {"kind": "mine:Norm", "label": "norm"}]
    told = dict(sentences({"stop": ends, "evaluate": {"every_s": 1.0, "metrics": asked}}))
    assert told["End"] == (
        "A trial ends at 5 rounds (mean local steps per worker) or a test-accuracy of 0.85 or "
        "mine:Plateau (patience = 3), whichever comes first. The mean model is evaluated every 1 "
        "simulated s. Also measured: staleness-max and mine:Norm (label = norm)."
    )
    above = {"target": {"metric": "bits-sent", "value": 1e6, "when": "above"}}
    assert sentences({"stop": above}) == [("End", "A trial ends at a bits-sent of 1e+06 or above.")]
    for evil in ("x", 7, [], {}, [7]):
        for key in ("target", "rules"):
            assert all(text for _, text in sentences({"stop": {"rounds": 1, key: evil}}))
        sentences({"evaluate": {"every_s": 1.0, "metrics": evil}})


def test_laws_and_links_that_are_not_known_are_told_key_by_key():
    own = {
        "cluster": {"workers": 3, "stragglers": {"kind": "mine:Law", "rate_sps": 5.0}},
        "network": {"topology": "ring", "link": {"kind": "mine:Radio", "range": [1, 2]}},
    }
    told = dict(sentences(own))
    assert told["Cluster"].endswith("Their speed: mine:Law (rate 5 samples/s).")
    assert told["Network"].endswith("Links: mine:Radio (range = 1 and 2).")


@pytest.fixture
def run(fabricate):
    made = fabricate("DSGD", "QT")
    for label in ("DSGD", "QT"):
        for seed in (0, 1):
            made.decay(label, seed, 8.0 + seed)
    return made


def test_the_page_stands_alone_and_names_nothing_outside(run):
    paths = analysis.web_report(run.folder)
    assert [path.name for path in paths[:2]] == ["report.html", "report.md"]
    page = paths[0].read_text(encoding="utf-8")
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/", "")
    assert not re.search(r"<(script|link|img|iframe)[^>]* (src|href)=(?!\"data:)", page)
    assert page.count("<svg") == len([path for path in paths if path.suffix == ".svg"])
    assert not list(paths[0].parent.glob("*.part"))


@pytest.mark.slow
def test_the_same_results_give_the_same_page(run):
    first = analysis.web_report(run.folder)[0].read_bytes()
    assert analysis.web_report(run.folder)[0].read_bytes() == first


def test_two_figures_in_a_page_share_no_id_and_refer_to_their_own(run, tmp_path):
    analysis.report(run.folder)
    path = run.folder / "report" / "timeline.svg"  # with hatches, clips and letters
    one, two = (inlined(path, name, "a & b", "c < d") for name in ("one", "two"))
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = set(re.findall(r'href="#([^"]+)"', one)) | set(re.findall(r"url\(#([^)]+)\)", one))
    assert used
    assert used <= ids[0]
    root = ElementTree.fromstring(one)
    assert (root[0].text, root[1].text) == ("a & b", "c < d")
    assert "<style" not in one


def test_the_timeline_holds_the_intervals_of_the_workers(run):
    metrics, finished = analysis.load(run.folder), analysis.trials(run.folder)
    (scene,) = scenes(run.folder, finished, metrics)
    assert (scene["end_s"], scene["view_s"], scene["whole"]) == (16.0, 12.0, True)
    assert [panel["label"] for panel in scene["panels"]] == ["DSGD", "QT"]
    lanes = scene["panels"][0]["lanes"]
    assert [lane["worker"] for lane in lanes] == [2, 1, 0]
    spans = np.array(lanes[2]["spans"]).reshape(-1, 5)
    assert [KINDS[int(code)] for code in spans[:3, 0]] == ["compute", "send", "wait"]
    assert spans[:3, 1:].tolist() == [[0, 1, 0, 6], [1, 1, 0, 1000], [2, 2, 0, 0]]
    assert lanes[2]["arrivals"] == [2, 6, 10, 14]
    assert lanes[2]["steps"] == [4, 8, 12]
    assert lanes[2]["drops"] == []
    assert kinds_in([scene]) == {"compute", "send", "wait"}


def test_the_timeline_holds_faults_and_broadcasts_as_one(fabricate):
    made = fabricate("a")
    own = {"worker": 0, "step": 0, "peer": -1, "samples": 0}
    apart = [own | span("send", 1, 2) | {"bits": 500, "start_s": 1.5} for _ in range(3)]
    made.decay("a", 0, 8.0, timeline=faulty_rounds() + apart)
    (scene,) = scenes(made.folder, analysis.trials(made.folder), analysis.load(made.folder))
    assert kinds_in([scene]) == {"compute", "send", "wait", "down", "compress", "drop"}
    lanes = {lane["worker"]: lane for lane in scene["panels"][0]["lanes"]}
    crashed = np.array(lanes[1]["spans"]).reshape(-1, 5)
    downs = crashed[crashed[:, 0] == KINDS.index("down")]
    assert downs[:, 1:].tolist() == [[5, 2, 1, 0]]
    assert lanes[1]["drops"] == [5.5]
    sends = np.array(lanes[0]["spans"]).reshape(-1, 5)
    first = sends[sends[:, 0] == KINDS.index("send")][0]
    assert first[1:].tolist() == [1, 1, 0, 1000 + 3 * 500]


def test_a_server_s_lane_is_the_last_of_its_method(fabricate):
    made = fabricate("DSGD", "served")
    made.decay("DSGD", 0, 8.0)
    made.decay("served", 0, 8.0, server=True)
    (scene,) = scenes(made.folder, analysis.trials(made.folder), analysis.load(made.folder))
    plain, served = (panel["lanes"] for panel in scene["panels"])
    assert [lane["worker"] for lane in plain] == [2, 1, 0]
    assert [lane["worker"] for lane in served] == [2, 1, 0, None]
    spans = np.array(served[-1]["spans"]).reshape(-1, 5)
    assert [KINDS[int(code)] for code in spans[:4, 0]] == ["wait", "send", "wait", "send"]
    # One wait until the last arrival; the three answers, of 500 bits each, belong to the new model.
    assert spans[:2, 1:].tolist() == [[0, 2.5, 0, 0], [2.5, 1.5, 1, 1500]]
    assert served[-1]["steps"] == [2.5, 6.5, 10.5, 14.5]
    assert served[-1]["arrivals"][:3] == [1.5, 2, 2.5]
    page = analysis.web_report(made.folder)[0].read_text()
    assert "the server of a method that has one" in page


@pytest.mark.slow
def test_the_page_says_in_which_message_a_trial_diverged(run):
    page = analysis.web_report(run.folder)[0].read_text()
    assert "the server of a method that has one" not in page
    run.trial("QT", 2, [0, 5], [2.0, np.nan], diverged_at_s=5.0, diverged="message <7>")
    run.trial("QT", 3, [0, 5], [2.0, np.nan], diverged_at_s=5.0)
    page, index = (path.read_text() for path in analysis.web_report(run.folder)[:2])
    assert "<li>QT_2 diverged at 5 simulated s: message &lt;7&gt;</li>" in page
    assert "<li>QT_3 diverged at 5 simulated s.</li>" in page
    assert "- QT\\_2 diverged at 5 simulated s: message &lt;7&gt;" in index


@pytest.mark.slow
def test_the_page_says_who_stalled_and_draws_only_the_kinds_there_are(run):
    plain = analysis.web_report(run.folder)[0].read_text()
    for key in ("down", "compress", "average", "dropped"):
        assert f'<span class="key {key}">' not in plain
    assert "dropped messages" not in plain
    assert "<li>QT_2" not in plain
    run.decay("QT", 2, 8.0, timeline=faulty_rounds(), stalled=WHY)
    run.decay("QT", 3, 8.0, stalled="<b>")
    page = analysis.web_report(run.folder)[0].read_text()
    assert f"<li>QT_2 stalled: {WHY}</li>" in page
    assert "<li>QT_3 stalled: &lt;b&gt;</li>" in page


def test_a_long_timeline_is_cut_at_the_same_time_for_all(run):
    metrics, finished = analysis.load(run.folder), analysis.trials(run.folder)
    (scene,) = scenes(run.folder, finished, metrics, most_marks=44)
    assert not scene["whole"]
    assert scene["end_s"] == 8.0  # 11 marks a round of 4 s, 22 for each of two methods
    for panel in scene["panels"]:
        marks = sum(len(lane["spans"]) // 5 + len(lane["arrivals"]) for lane in panel["lanes"])
        assert marks <= 22 + 3  # those that begin together with the end
    json.dumps(scene, allow_nan=False)


def test_provenance_gives_checksums_and_a_command_to_repeat(run):
    finished = analysis.trials(run.folder)
    found = provenance(run.folder, finished)
    words = shlex.split(found.command)
    assert words[:3] == ["desim", "run", str(run.folder / "scenario.toml")]
    sums = dict(found.checksums)
    assert len(sums) == 1 + len(finished)
    for name, value in sums.items():
        assert hashlib.sha256((run.folder / name).read_bytes()).hexdigest() == value


def test_a_page_that_cannot_be_written_says_so(run):
    (run.folder / "report" / "report.html").mkdir(parents=True)
    with pytest.raises(ResultsError, match=r"report\.html is a folder\)"):
        analysis.web_report(run.folder)
