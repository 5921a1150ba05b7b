"""What is too much, too deep or too long is refused in one line, before anything is built."""

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from tiny import Call, tiny, write

import desim as simulator
from desim.errors import ScenarioError
from desim.scenario.scenario import from_table, read
from desim.schema.limits import MOST_LEVELS
from desim.schema.paths import regular
from desim.topologies.base import Topology

STEP = {"kind": "constant", "alpha": 0.5}


def refused(changes: dict[str, Any], *, train: bool = False) -> str:
    """The one line with which a scenario is refused."""
    with pytest.raises(ScenarioError) as error:
        simulator.plan(from_table(tiny(changes)), train=train)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network.link.bandwidth_bps", 1e-320),
        ("network.link.latency_s", 1e308),
        ("algorithms.0.step_size.alpha", 1e308),
        ("problem.l2", 5e-324),
        ("cluster.stragglers.low", -1e-320),
        ("evaluate.every_rounds", 2**63),
        ("algorithms.0.batch", 10**30),
        ("algorithms.0.batch", 10**5000),
        ("algorithms.0.label", "a\0b"),
        ("algorithms.1.label", "\ud800"),
        ("problem.model.hidden", [2**63]),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isprintable() else "",
)
def test_a_value_that_no_table_can_hold(key: str, value: object) -> None:
    line = refused({key: value})
    assert line.startswith(key)
    assert ": must be " in line
    assert len(line) < 250


def test_the_ends_of_what_a_table_can_hold() -> None:
    from_table(tiny({"problem.l2": 2.0**-126, "algorithms.0.step_size.alpha": 3.4028234e38}))


@pytest.mark.parametrize("levels", [MOST_LEVELS + 1, 400, 20_000])
def test_lists_in_lists_in_lists(levels: int, tmp_path: Path) -> None:
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested]
    with pytest.raises(ScenarioError, match=f"no deeper than {MOST_LEVELS} levels"):
        from_table(tiny() | {"sweep": {"problem.l2": nested}})
    file = tmp_path / "deep.toml"
    file.write_text(f"name = {'[' * levels}{']' * levels}", encoding="utf-8")
    with pytest.raises(ScenarioError, match="nested"):
        read(file)


def test_a_list_in_itself() -> None:
    inner: list[Any] = []
    inner.append(inner)
    with pytest.raises(ScenarioError, match="no deeper than"):
        from_table(tiny() | {"sweep": {"problem.l2": inner}})


@pytest.mark.parametrize("head", ["faults", "nothing", "problem"])
def test_a_dotted_key_of_many_parts(head: str, tmp_path: Path, desim: Call) -> None:
    key = head + ".a" * 20_000
    with pytest.raises(ScenarioError, match="at most 50 parts"):
        from_table(tiny()).with_values({key: 1})
    file = tmp_path / "deep.toml"
    file.write_text(head + ".a" * 1_000 + " = 1", encoding="utf-8")
    with pytest.raises(ScenarioError, match="no deeper than"):
        read(file)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--set", "problem.l2=" + "9" * 5000],
        ["--set", "problem.l2=" + "[" * 20_000],
        ["--set", "name=" + "n" * 5000],
        ["--set", "faults" + ".a" * 5_000 + "=1"],
    ],
    ids=["digits", "brackets", "name", "key"],
)
def test_options_that_are_too_long(arguments: list[str], tmp_path: Path, desim: Call) -> None:
    assert len(desim("check", write(tmp_path / "tiny.toml"), *arguments).complaint) < 300


def test_a_label_of_long_letters_has_a_folder(tmp_path: Path) -> None:
    scenario = from_table(tiny({"algorithms.0.label": "🐟𝔸" * 2500, "seeds": [2**63 - 1]}))
    for trial in scenario.trials():
        (tmp_path / trial.name).mkdir()


def test_a_sweep_is_read_in_time_proportional_to_its_values() -> None:
    def seconds(values: int) -> float:
        sweep = {"problem.l2": [k * 1e-6 for k in range(values)]}
        start = time.process_time()
        assert len(list(from_table(tiny() | {"sweep": sweep}).trials())) == 2 * values
        return time.process_time() - start

    seconds(10)
    # The square of the values would take 100 times as long; twice the line is left for noise.
    assert seconds(3_000) < 20 * seconds(300)


def test_millions_of_trials() -> None:
    sweep = {"problem.l2": [k * 1e-4 for k in range(4_000)], "algorithms.0.batch": range(1, 2_501)}
    line = refused({"sweep": {key: list(values) for key, values in sweep.items()}})
    assert line.startswith("sweep: amounts to 20,000,000 trials, 10,000,000 points x 2 methods")
    assert refused({"seeds": list(range(60_000))}).startswith("seeds: amounts to 120,000 trials")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"algorithms.0.batch": 10**12}, "algorithms.DSGD.batch = 1000000000000: must be at most"),
        ({"algorithms.1.expected_batch": 1e12}, "algorithms.QT.expected_batch = 1e+12: must be"),
        ({"problem.model.hidden": [2**62]}, "parameters; must have at most 1,000,000,000,000"),
        ({"problem.model.hidden": [10**7, 10**7]}, "must have at most 1,000,000,000,000"),
        (
            {"stop": {"time_s": 600.0}, "evaluate": {"every_s": 1e-9}},
            "evaluate.every_s = 1e-09: amounts to 6e+11 evaluations of a trial with DSGD",
        ),
        # Bounded by rounds, of some 0.4 s as they are simulated.
        ({"stop.rounds": 10**7, "evaluate.every_rounds": 1}, "evaluate.every_rounds = 1: amounts"),
        ({"evaluate": {"every_s": 1e-9}}, "evaluate.every_s = 1e-09: amounts to 1"),
        ({"stop.rounds": 10**12, "evaluate.every_rounds": 10**9}, "stop.rounds = 1e+12: amounts"),
        (
            {"cluster.workers": 10_000, "algorithms": [{"kind": "all-reduce-sgd", "batch": 1}]},
            "10,000 workers send 199,980,000 messages in each round, on 10,000 links",
        ),
        (
            {"cluster.workers": 10_000, "algorithms": [{"kind": "prague", "batch": 1}]},
            "10,000 workers have some 99,990,000 directed links",
        ),
        ({"cluster.stragglers": {"kind": "lognormal", "mu": 0.0, "sigma": 1e9}}, "stragglers"),
    ],
    ids=lambda value: None if isinstance(value, str) else ",".join(value),
)
def test_absurd_amounts(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    if "algorithms" in changes:
        changes["algorithms"][0]["step_size"] = STEP
    with pytest.raises(simulator.DesimError) as error:
        simulator.plan(from_table(tiny(changes)), train=False)
    assert said in str(error.value)
    with pytest.raises(simulator.DesimError) as again:  # a run says the same
        simulator.run(from_table(tiny(changes)), tmp_path / "out", train=False, jobs=1)
    assert str(again.value).split(":")[0] == str(error.value).split(":")[0]


def test_a_batch_beyond_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desim.studies.amounts.memory_bytes", lambda: 10**9)
    line = refused({"algorithms.0.batch": 10**7}, train=True)  # 64 floats and 8 bytes a sample
    assert line == (
        "algorithms.DSGD.batch = 10000000: a batch takes 2.64 GB; must be at most the 1 GB of this "
        "machine"
    )
    line = refused({"problem.model.hidden": [10**7]}, train=True)
    assert line.endswith(
        "parameters, 4 times, take 12 GB; must be at most the 1 GB of this machine"
    )


def test_data_too_small_is_said_before_a_graph_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Topology, "build", drawn)
    many = {"cluster.workers": 4_000, "network.topology": {"kind": "erdos-renyi", "p": 0.4}}
    said = "4000 workers need 80,000 training samples, the data set has 1,437"
    assert said in refused(many, train=True)
    with pytest.raises(ScenarioError, match=said):
        simulator.run(from_table(tiny(many)), tmp_path / "out")


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "device", "nul"])
def test_what_is_no_file_is_not_opened(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / ("a\0b" if kind == "nul" else "it")
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        monkeypatch.chdir(tmp_path)  # names of sockets are short
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("it")
    with pytest.raises(OSError, match="null" if kind == "nul" else f"is a {kind}, no file"):
        regular(path)


@pytest.mark.parametrize(
    "change",
    [
        {"network.topology": {"kind": "edge-list"}},
        {"cluster.stragglers": {"kind": "trace"}},
        {"network.link": {"kind": "dedicated", "profile": None}},
        {"network.link": {"kind": "dedicated", "links": {}}},
        {"problem.dataset": {"kind": "npz"}},
        {"problem.dataset": {"kind": "cifar10"}},
    ],
    ids=str,
)
def test_a_pipe_behind_any_path(change: dict[str, Any], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "it")
    ((_, table),) = change.items()
    inner = table.get("links", table)
    inner["file"] = str(tmp_path / "it")
    assert "is a pipe, no file" in refused(change, train=True)
    with pytest.raises(ScenarioError, match="is a pipe, no file"):
        read(tmp_path / "it")


def test_a_batch_larger_than_what_a_worker_holds_is_told(tmp_path: Path, desim: Call) -> None:
    changes = {"algorithms.0.batch": 30, "problem.samples_per_worker": 20}
    said = r"algorithms\.DSGD\.batch = 30: a worker holds 20 samples"
    with pytest.warns(simulator.DesimWarning, match=said) as told:
        simulator.run(from_table(tiny(changes)), tmp_path / "results", jobs=1)
    assert [one.filename for one in told] == [__file__]  # the caller's line, not desim's
    ended = desim("check", write(tmp_path / "tiny.toml", changes))
    assert (ended.code, ended.err.count("a worker holds 20 samples")) == (0, 1)
    ended = desim("check", write(tmp_path / "tiny.toml", changes), "--no-train")
    assert (ended.code, ended.err) == (0, "")
