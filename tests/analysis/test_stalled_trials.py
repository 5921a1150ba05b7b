"""What `desim run` writes of a trial that can't go on, and what the report makes of it."""

import json

import desim
from desim import analysis

STEP = {"kind": "constant", "alpha": 0.1}
SCENARIO = {
    "name": "stalled",
    "seeds": [0],
    "problem": {"dataset": "digits", "samples_per_worker": 20, "model": "softmax"},
    "cluster": {"workers": 4, "hardware": {"speed_sps": 10.0}},
    "network": {
        "topology": "ring",
        "mixing": "metropolis",
        "link": {"kind": "dedicated", "bandwidth_bps": 1e5},
    },
    "faults": {"workers": [{"worker": 3, "down_s": 1.2}]},
    "stop": {"rounds": 5},
    "evaluate": {"every_rounds": 1},
    "algorithms": [
        {"kind": "dsgd", "label": "waits", "batch": 5, "step_size": STEP},
        {"kind": "dsgd", "label": "skips", "batch": 5, "step_size": STEP}
        | {"absent": "skip", "timeout_s": 1.0},
    ],
}


def test_a_worker_that_never_comes_back_stalls_those_who_wait_for_it(tmp_path):
    folder = desim.run(desim.Scenario.model_validate(SCENARIO), tmp_path / "results", jobs=1)
    manifests = {
        name: json.loads((folder / "trials" / f"{name}-seed0" / "manifest.json").read_text())
        for name in ("waits", "skips")
    }
    stalled, other = manifests["waits"], manifests["skips"]
    assert (stalled["status"], stalled["stopped_by"]) == ("stalled", "stalled")
    assert stalled["diverged_at_s"] is None
    assert "waits for 3" in stalled["stalled"]
    assert (other["status"], other["stalled"]) == ("finished", None)

    metrics = analysis.load(folder)
    last = metrics[metrics["algorithm"] == "waits"].iloc[-1]
    assert last["time_s"] == stalled["time_s"]
    assert f"waits-seed0 stalled: {stalled['stalled']}" in analysis.report(folder)[0].read_text()
