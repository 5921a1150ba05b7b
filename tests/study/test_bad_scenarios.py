"""A scenario that breaks a rule ends with one line that names the key, the value and the rule."""

import os
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from tiny import DROP, Call, write

#: Changes to a good scenario, and what the line must contain.
BAD: list[tuple[dict[str, Any], list[str]]] = [
    # keys
    ({"bogus": 1}, ["bogus = 1", "unknown key", "choose from name, seeds"]),
    ({"problem.modle": "mlp"}, ["problem.modle = 'mlp'", "did you mean 'model'?"]),
    ({"network.link.latency_ms": 3}, ["network.link.latency_ms = 3", "seconds (_s)", "latency_s"]),
    ({"algorithms.1.deadline_ms": 400}, ["algorithms.1.deadline_ms", "'deadline_s'"]),
    ({"network.link.bandwidth_mbps": 1}, ["bandwidth_mbps = 1", "bit/s (_bps)"]),
    ({"cluster": DROP}, ["cluster: is missing"]),
    ({"cluster.workers": DROP}, ["needs workers, or a count in each table of hardware"]),
    ({"algorithms.0.batch": DROP}, ["algorithms.0.batch: is missing"]),
    # types
    (
        {"network.link.bandwidth_bps": "40 kbit/s"},
        ["network.link.bandwidth_bps = '40 kbit/s': must be a valid number, in bit/s"],
    ),
    ({"cluster.workers": "4"}, ["cluster.workers = '4': must be a valid integer"]),
    ({"cluster.workers": True}, ["cluster.workers = True: must be a valid integer"]),
    ({"cluster.workers": 4.0}, ["cluster.workers = 4.0: must be a valid integer"]),
    ({"network.link.latency_s": True}, ["network.link.latency_s = True", "number, in seconds"]),
    ({"cluster.stragglers.low": True}, ["cluster.stragglers.low = True", "number"]),
    ({"name": 3}, ["name = 3", "string"]),
    ({"seeds": 3}, ["seeds = 3: must be a list"]),
    ({"seeds": [True]}, ["seeds.0 = True", "integer"]),
    ({"stop": 3}, ["stop = 3: must be a table"]),
    ({"problem.model.hidden": 4}, ["problem.model.hidden = 4: must be a list"]),
    ({"problem.model.hidden": [True]}, ["problem.model.hidden.0 = True", "integer"]),
    ({"algorithms": "dsgd"}, ["algorithms = 'dsgd': must be a list"]),
    ({"algorithms.0": 3}, ["algorithms.0 = 3", "must be a table such as {kind ="]),
    ({"sweep": 4}, ["sweep = 4: must be a table"]),
    # numbers
    ({"network.link.bandwidth_bps": 0}, ["network.link.bandwidth_bps = 0", "greater than 0"]),
    ({"network.link.bandwidth_bps": -1.0}, ["bandwidth_bps = -1.0", "greater than 0, in bit/s"]),
    ({"network.link.bandwidth_bps": nan}, ["network.link.bandwidth_bps = nan"]),
    ({"network.link.latency_s": -1}, ["latency_s = -1", "greater than or equal to 0, in seconds"]),
    ({"network.link.latency_s": inf}, ["latency_s = inf", "finite"]),
    ({"cluster.stragglers.low": 0}, ["cluster.stragglers.low = 0", "greater than 0"]),
    ({"cluster.stragglers.low": nan}, ["cluster.stragglers.low = nan", "finite"]),
    ({"cluster.stragglers.high": inf}, ["cluster.stragglers.high = inf", "finite"]),
    ({"algorithms.0.step_size.alpha": nan}, ["algorithms.0.step_size.alpha = nan", "finite"]),
    ({"algorithms.0.batch": 0}, ["algorithms.0.batch = 0", "greater than or equal to 1"]),
    ({"cluster.workers": 1}, ["cluster.workers = 1", "greater than or equal to 2"]),
    ({"stop": {"time_s": inf}}, ["stop.time_s = inf", "finite number, in seconds"]),
    ({"stop.rounds": 0}, ["stop.rounds = 0", "greater than or equal to 1"]),
    ({"seeds": [-1]}, ["seeds.0 = -1", "greater than or equal to 0"]),
    ({"seeds": [2**63]}, [f"seeds.0 = {2**63}", "less than"]),
    ({"seeds": []}, ["seeds = []: must have at least 1 item"]),
    ({"problem.model.hidden": []}, ["problem.model.hidden = []", "at least 1 item"]),
    ({"problem.model.hidden": [0]}, ["problem.model.hidden.0 = 0"]),
    # low and high
    ({"cluster.stragglers.low": 100}, ["cluster.stragglers.high = 90: must be at least low = 100"]),
    (
        {"network.link.bandwidth_bps": {"low": 5, "high": 2}},
        ["network.link.bandwidth_bps = {low = 5, high = 2}", "high at least low"],
    ),
    (
        {"network.link.bandwidth_bps": {"low": 5, "hihg": 7}},
        ["network.link.bandwidth_bps.hihg = 7", "did you mean 'high'?"],
    ),
    (
        {"algorithms.1.compressor": {"kind": "random-rounding", "grid": 1.0, "range": 0.5}},
        ["algorithms.1.compressor.range = 0.5: must be", "grid = 1"],
    ),
    # kinds
    (
        {"cluster.stragglers": "uniform-sped"},
        ["kind = 'uniform-sped'", "did you mean 'uniform-speed'"],
    ),
    ({"algorithms.0.kind": "dgsd"}, ["algorithms.0.kind = 'dgsd'", "did you mean 'dsgd'?"]),
    ({"cluster.stragglers": {"low": 3}}, ["cluster.stragglers = {'low': 3}", "needs a kind"]),
    ({"cluster.stragglers": {"kind": 3}}, ["cluster.stragglers.kind = 3", "must be a string"]),
    ({"problem.dtype": "float16"}, ["problem.dtype = 'float16': must be 'float32' or 'float64'"]),
    ({"algorithms.0.kind": "nowhere:DSGD"}, ["kind = 'nowhere:DSGD'", "package.module:Class"]),
    ({"algorithms.0.kind": "..nowhere:DSGD"}, ["kind = '..nowhere:DSGD'", "can't be imported"]),
    ({"algorithms.0.kind": "os:getcwd"}, ["kind = 'os:getcwd'", "derived from a base class"]),
    (
        {"algorithms.0.kind": "desim.algorithms.base:Algorithm"},
        ["'desim.algorithms.base:Algorithm'", "must define worker"],
    ),
    (
        {"problem.model": {"kind": "desim.topologies.ring:Ring"}},
        ["problem.model", "no member of models"],
    ),
    # what must fit together
    (
        {"algorithms.1.deadline_s": 0.4},
        ["algorithms.1.deadline_s = 0.4, expected_batch = 5.0: give exactly one", "b / E[V]"],
    ),
    (
        {"algorithms.1.expected_batch": DROP},
        ["algorithms.1.deadline_s = None, expected_batch = None: give exactly one"],
    ),
    (
        {"algorithms.0.step_size": {"kind": "nonconvex", "c1": 1, "c2": 1}, "stop": {"time_s": 3}},
        ["algorithms.0.step_size", "needs the number of rounds T; give [stop] rounds, or horizon"],
    ),
    ({"algorithms.1.label": "DSGD"}, ["algorithms.label = 'DSGD'", "must differ"]),
    ({"algorithms.0.label": "a b", "algorithms.1.label": "A-b"}, ["'A-b'", "differ from 'a b'"]),
    ({"seeds": [4, 4]}, ["seeds = 4", "must differ"]),
    ({"algorithms": []}, ["algorithms = []", "at least 1 item"]),
    ({"stop": {}}, ["stop = {}", "must have time_s, rounds or steps"]),
    ({"stop": {"target_train_loss": 1.0}}, ["must have time_s, rounds or steps"]),
    ({"evaluate": {}}, ["evaluate.every_s = None, every_rounds = None: give exactly one"]),
    ({"evaluate.every_s": 1.0}, ["evaluate.every_s = 1.0, every_rounds = 1: give exactly one"]),
    ({"name": "../evil"}, ["name = '../evil'", "letters, digits"]),
    ({"name": "a/.."}, ["name = 'a/..'", "names the results folder"]),
    ({"name": "tiny\n"}, ["name = 'tiny\\n'", "names the results folder"]),
    # the data and the graph
    (
        {"cluster.workers": 100},
        ["problem.samples_per_worker = 20", "100 workers need 2,000", "the data set has 1,437"],
    ),
    ({"problem.samples_per_worker": 400}, ["samples_per_worker = 400", "at most 359 per worker"]),
    (
        {"problem.dataset": {"kind": "mnist", "folder": "nowhere"}},
        ["problem.dataset.folder = '/", "/nowhere': has no train-images-idx3-ubyte[.gz]; put"],
    ),
    (
        {"problem.dataset": {"kind": "npz", "file": "two.txt"}},
        ["problem.dataset.file = '/", "/two.txt': can't be read (File is not a zip file)"],
    ),
    ({"problem.dataset": {"kind": "cifar10", "file": "two.txt"}}, ["/two.txt': can't be read"]),
    (
        {"problem.dataset": {"kind": "cifar10", "file": "a", "folder": "b"}},
        ["problem.dataset.file = '/", "/a': give a folder or a file, not both"],
    ),
    ({"problem.dataset": {"kind": "mnist", "classes": [3, 3]}}, ["must be different classes"]),
    ({"problem.dataset": {"kind": "mnist", "classes": [3]}}, ["must have at least 2 items"]),
    (
        {"problem.dataset": {"kind": "mnist", "classes": [3, 0.5]}},
        ["problem.dataset.classes.1 = 0.5: must be a valid integer"],
    ),
    ({"problem.dataset": {"kind": "mnist", "classes": [3, -1]}}, ["classes.1 = -1: must be"]),
    ({"problem.dataset": {"kind": "mnist", "resize": [14]}}, ["problem.dataset.resize"]),
    ({"problem.dataset": {"kind": "mnist", "resize": [14, 0]}}, ["dataset.resize.1 = 0: must be"]),
    ({"problem.partition": {"kind": "dirichlet", "alpha": 0}}, ["problem.partition.alpha = 0"]),
    (
        {
            "problem.dataset": {"kind": "quadratic", "samples": 100, "dimension": 2},
            "problem.model": "quadratic",
            "problem.partition": "shards",
        },
        ["problem.partition = 'shards': assigns by class"],
    ),
    ({"problem.model": "logistic"}, ["problem.model = 'logistic'", "needs two classes"]),
    (
        {"network.topology": {"kind": "edge-list", "file": "nowhere.txt"}},
        ["network.topology.file = ", "nowhere.txt", "can't be read"],
    ),
    (
        {"network.topology": {"kind": "edge-list", "file": "two.txt"}},
        ["network.topology", "not connected on 4 workers (2 parts)", "add edges"],
    ),
    (
        {"network.topology": {"kind": "erdos-renyi", "p": 1e-9}},
        ["network.topology", "none was connected"],
    ),
    (
        {"network.topology": {"kind": "torus", "rows": 3}},
        ["network.topology.rows = 3", "4 workers don't fill"],
    ),
    (
        {"network.topology": "star", "network.mixing": "uniform"},
        ["network.mixing", "use metropolis"],
    ),
    # sweeps
    ({"sweep": {"cluster.workers": [4, 1]}}, ["cluster.workers = 1", "greater than or equal to 2"]),
    ({"sweep": {"cluster.wokers": [4]}}, ["cluster.wokers = 4", "did you mean 'workers'?"]),
    ({"sweep": {"cluster.workers": []}}, ["sweep.cluster.workers = []", "at least 1 item"]),
    ({"sweep": {"cluster.workers": 4}}, ["sweep.cluster.workers = 4: must be a list"]),
    ({"sweep": {"problem.l2": [0.1, 0.1]}}, ["'problem.l2' has 0.1 twice"]),
    ({"sweep": {"seeds": [[1], [2]]}}, ["sweep", "'seeds' can't be swept"]),
    ({"sweep": {"algorithms.DSG.batch": [4]}}, ["algorithms.DSG.batch", "'DSG' names none"]),
    ({"sweep": {"algorithms.*.batch": [4]}}, ["algorithms.*.batch = 4", "unknown key of QT"]),
]


@pytest.mark.parametrize(("changes", "parts"), BAD, ids=lambda value: str(value)[:60])
def test_a_broken_rule_is_one_clear_line(
    changes: dict[str, Any],
    parts: list[str],
    desim: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("two.txt").write_text("0 1\n2 3\n")
    write(Path("bad.toml"), changes)
    # --out is where a run would begin to write: nothing may be there afterwards.
    complaint = desim("run", "bad.toml", "--out", "results", "--jobs", 1).complaint
    assert [part for part in parts if part not in complaint] == [], complaint
    assert not Path("results").exists()


def test_every_broken_rule_has_a_line_of_its_own(desim: Call, tmp_path: Path) -> None:
    file = write(tmp_path / "bad.toml", {"cluster.workers": 1, "seeds": [], "bogus.x": 1})
    file.write_text(file.read_text().replace("[bogus]\nx = 1\n", ""))
    ended = desim("check", file)
    assert ended.code == 2
    assert [line.partition(" = ")[0] for line in ended.err.splitlines()] == [
        "desim: seeds",
        "desim: cluster.workers",
    ]


@pytest.mark.parametrize("module", ["self = ", "1 / 0", "class Mine: pass", "raise SystemError"])
def test_a_users_module_that_cannot_be_imported(
    module: str, desim: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"broken_{abs(hash(module))}"
    Path(f"{name}.py").write_text(module)
    write(Path("bad.toml"), {"algorithms.0.kind": f"{name}:Mine"})
    complaint = desim("check", "bad.toml").complaint
    assert complaint.startswith(f"algorithms.0.kind = '{name}:Mine'")


def test_files_that_are_no_scenario(
    desim: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.toml").write_text("name = \n")
    Path("binary.toml").write_bytes(b"\xff\xfe")
    assert "broken.toml: is no TOML: " in desim("check", "broken.toml").complaint
    assert "binary.toml: can't be read" in desim("check", "binary.toml").complaint
    assert "did you mean 'quickstart'?" in desim("run", "quikstart").complaint
    assert "'nowhere.toml': no such file" in desim("run", "nowhere.toml").complaint
    os.mkfifo("pipe")
    for path, kind in ((".", "a folder"), (os.devnull, "a device"), ("pipe", "a pipe")):
        assert desim("check", path).complaint == (
            f"scenario: {path!r} is {kind}, no file; pass a TOML file, or the name of one that "
            "comes with desim"
        )
