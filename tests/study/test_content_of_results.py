"""A finished trial belongs to the content of what it was made of, not to its name."""

import gzip
import json
import runpy
import struct
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import DROP, sums, tiny, write
from torch import nn

import desim as simulator
from desim.errors import ResultsError

Change = dict[str, Any]


def run(changes: Change, out: Path, *, train: bool = False) -> Path:
    table = tiny({"stop.rounds": 1, "algorithms": tiny()["algorithms"][:1]} | changes)
    return simulator.run(simulator.from_table(table), out, jobs=1, train=train)


def refused(changes: Change, out: Path, key: str, *, train: bool = False) -> None:
    before = sums(out)
    with pytest.raises(ResultsError) as caught:
        run(changes, out, train=train)
    text = str(caught.value)
    assert text.startswith(f"--out = {out}: holds another scenario, with {key} = content ")
    assert text.endswith("; choose another folder")
    assert sums(out) == before


# Files


def trace(file: Path, edition: int) -> None:
    rows = "".join(f"{worker},0,{1 + edition}\n" for worker in range(4))
    file.write_text(f"worker,start_s,speed\n{rows}")


def edges(file: Path, edition: int) -> None:
    file.write_text("0 1\n1 2\n2 3\n" + ("3 0\n" if edition else ""))


def links(file: Path, edition: int) -> None:
    file.write_text(f"source,target,latency_s,bandwidth_bps\n0,1,{edition},1e6\n")


def profile(file: Path, edition: int) -> None:
    trace(file.with_suffix(".csv"), edition)
    text = f"speed_sps = 10.0\nstragglers = {{kind = 'trace', file = '{file.stem}.csv'}}\n"
    file.write_text(text)


def archive(file: Path, edition: int) -> None:
    x = np.zeros((80, 4, 4), np.uint8)
    x[7, 1, 2] = edition
    with file.open("wb") as stream:
        np.savez(stream, x_train=x, y_train=np.arange(80) % 2)


def idx(folder: Path, edition: int) -> None:
    folder.mkdir(exist_ok=True)
    for part in ("train", "t10k"):
        x = bytes(79 * 16) + bytes(15) + bytes([edition])
        images = struct.pack(">4i", 2051, 80, 4, 4) + x
        labels = struct.pack(">2i", 2049, 80) + bytes(i % 10 for i in range(80))
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images, mtime=0))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)
    (folder / "notes.txt").write_text(str(edition))


def images(folder: Path, edition: int) -> None:
    for name in "ab":
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(50):
            pixels = np.full((4, 4, 3), edition if (name, i) == ("b", 31) else 9, np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


LINK = {"kind": "dedicated", "latency_s": 0.0, "bandwidth_bps": 1e6}
FILES: dict[str, tuple[Callable[[Path, int], None], str, Change]] = {
    "cluster.stragglers.file": (trace, "cluster.stragglers", {"kind": "trace"}),
    "network.topology.file": (edges, "network.topology", {"kind": "edge-list"}),
    "network.link.links.file": (links, "network.link.links", {}),
    "cluster.hardware.0.stragglers.file": (profile, "cluster.hardware", {}),
    "problem.dataset.file": (archive, "problem.dataset", {"kind": "npz"}),
    "problem.dataset.folder-mnist": (idx, "problem.dataset", {"kind": "mnist"}),
    "problem.dataset.folder": (images, "problem.dataset", {"kind": "image-folder"}),
}


@pytest.mark.parametrize("key", FILES)
def test_a_file_that_was_edited_in_place(key: str, tmp_path: Path) -> None:
    make, where, table = FILES[key]
    key = key.removesuffix("-mnist")
    place, out = tmp_path / "it", tmp_path / "out"
    changes = {where: table | {key.rpartition(".")[2]: str(place)}}
    if where.startswith("network.link"):
        changes = {"network.link": LINK} | changes
    if where == "cluster.hardware":
        changes = {"cluster.hardware": {"file": str(place)}, "cluster.stragglers": DROP}
    make(place, 0)
    folder = run(changes, out)
    before = sums(out)
    make(place, 0)  # the same again: only times of files differ
    assert run(changes, out) == folder
    assert sums(out) == before
    make(place, 1)
    refused(changes, out, key)


def test_what_lies_beside_the_files_of_a_data_set_does_not_count(tmp_path: Path) -> None:
    idx(tmp_path / "it", 0)
    changes = {"problem.dataset": {"kind": "mnist", "folder": str(tmp_path / "it")}}
    run(changes, tmp_path / "out", train=True)
    (tmp_path / "it" / "notes.txt").write_text("more")
    run(changes, tmp_path / "out", train=True)


# Objects


RANDOM = np.random.default_rng(0)
ARRAYS = {
    "train_x": RANDOM.normal(size=(80, 5)),
    "train_y": np.arange(80) % 3,
    "test_x": RANDOM.normal(size=(20, 5)),
    "test_y": np.arange(20) % 3,
}


def data(name: str = "", *, dtype: type = np.float64) -> simulator.Data:
    made = {key: array.copy() for key, array in ARRAYS.items()}
    if name:
        made[name][3] = 1 - made[name][3]
    made["train_x"] = made["train_x"].astype(dtype)
    return simulator.Data(**made)


def loss_by(scale: float) -> Callable[..., Any]:
    return lambda o, t: scale * nn.functional.cross_entropy(o, t, reduction="none")


def loss_with_default(o: Any, t: Any, scale: float = 1.0) -> Any:
    return loss_by(scale)(o, t)


class Scaled:
    def __init__(self, scale: float) -> None:
        self.scale = scale

    def __call__(self, o: Any, t: Any) -> Any:
        return loss_by(self.scale)(o, t)

    def method(self, o: Any, t: Any) -> Any:
        return self(o, t)


def layer(weight: float) -> nn.Module:
    torch.manual_seed(0)
    made = nn.Linear(5, 3)
    with torch.no_grad():
        made.weight[1, 2] = weight
    return made


def buffered(value: float) -> nn.Module:
    made = layer(0.5)
    made.register_buffer("unused", torch.tensor([value]))
    return made


def method_by(scale: float) -> simulator.Algorithm:
    class Local(simulator.Rounds):
        """Local steps."""

        batch: int

        def worker(self, me: Any) -> Any:
            x = me.initial_model()
            for _ in me.rounds():
                step = scale * me.step_size()
                x = me.record(x - step * (yield from me.compute(x, self.batch)))
                me.commit(x)

    return Local(batch=4, step_size={"kind": "constant", "alpha": 0.5})


OBJECTS: dict[str, tuple[str, Callable[[bool], Any]]] = {
    "closure": ("problem.loss", lambda other: loss_by(10.0 if other else 1.0)),
    "partial": ("problem.loss", lambda other: partial(loss_with_default, scale=1.0 + other)),
    "attribute": ("problem.loss", lambda other: Scaled(1.0 + other)),
    "bound method": ("problem.loss", lambda other: Scaled(1.0 + other).method),
    "function": ("problem.loss", lambda other: loss_with_default if other else loss_by(1.0)),
    "regulariser": (
        "problem.regulariser",
        lambda other: lambda parameters, batch: (1.0 + other) * parameters["weight"].sum(),
    ),
    "weights": ("problem.model", lambda other: layer(0.5 + other)),
    "buffer": ("problem.model", lambda other: buffered(0.5 + other)),
    "structure": (
        "problem.model",
        lambda other: nn.Sequential(layer(0.5), nn.Tanh() if other else nn.ReLU()),
    ),
    "what builds it": ("problem.model", lambda other: lambda: layer(0.5 + other)),
    "method": ("algorithms", lambda other: method_by(1.0 + 2 * other)),
    **{
        name: ("problem.dataset", lambda other, name=name: data(name if other else ""))
        for name in ARRAYS
    },
}


def scenario(key: str, value: Any) -> simulator.Scenario:
    problem = {"dataset": data(), "model": "softmax", "samples_per_worker": 20}
    if key.startswith("problem."):
        problem[key.removeprefix("problem.")] = value
        if key == "problem.regulariser":
            problem["model"] = layer(0.5)
    step = {"kind": "constant", "alpha": 0.5}
    method = value if key == "algorithms" else {"kind": "dsgd", "batch": 4, "step_size": step}
    table = tiny()
    return simulator.Scenario(
        name="objects",
        seeds=(0,),
        problem=simulator.Problem(**problem),
        cluster=simulator.Cluster(**table["cluster"]),
        network=simulator.Network(**table["network"]),
        stop=simulator.Stop(rounds=1),
        evaluate=simulator.Evaluate(every_rounds=1),
        algorithms=(method,),
    )


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_with_another_content_under_the_same_name(name: str, tmp_path: Path) -> None:
    key, make = OBJECTS[name]
    out = tmp_path / "out"
    simulator.run(scenario(key, make(False)), out, jobs=1)
    before = sums(out)
    simulator.run(scenario(key, make(False)), out, jobs=1)  # made anew, with the same content
    assert sums(out) == before
    with pytest.raises(ResultsError, match="holds another scenario, with ") as caught:
        simulator.run(scenario(key, make(True)), out, jobs=1)
    assert f"with {key}" in str(caught.value)
    assert sums(out) == before


def test_an_own_loss_does_not_give_a_search_the_numbers_of_another(tmp_path: Path) -> None:
    grid = simulator.Grid(3, 0)
    simulator.tune(scenario("problem.loss", loss_by(1.0)), tmp_path / "out", grid=grid, jobs=1)
    with pytest.raises(ResultsError, match=r"another scenario, with problem\.loss = content"):
        simulator.tune(scenario("problem.loss", loss_by(2.0)), tmp_path / "out", grid=grid, jobs=1)


def test_no_address_is_on_disk(tmp_path: Path) -> None:
    kinds = {name: make(False) for name, (key, make) in OBJECTS.items() if key == "problem.loss"}
    kinds |= {"lambda": lambda o, t: loss_by(1.0)(o, t)}
    for name, loss in kinds.items():
        out = simulator.run(scenario("problem.loss", loss), tmp_path / name, jobs=1)
        texts = [file.read_text() for file in out.rglob("*") if file.suffix in (".toml", ".json")]
        assert not [text for text in texts if "0x" in text]


def test_what_cannot_be_looked_into_is_said_once_and_noted(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:

        def loss(o: Any, t: Any) -> Any:
            log.write("")
            return loss_by(1.0)(o, t)

        made = scenario("problem.loss", loss)
        with pytest.warns(simulator.DesimWarning) as said:
            simulator.run(made, tmp_path / "out", seeds=[0, 1], jobs=1)
    assert [one.filename for one in said] == [__file__]
    assert [str(one.message).partition("; ")[0] for one in said] == [
        "problem.loss: holds _io.TextIOWrapper, whose content can't be looked into"
    ]
    for file in (tmp_path / "out").glob("trials/*/manifest.json"):
        content = json.loads(file.read_text())["content"]
        assert content["problem.loss"].endswith(", not digested: _io.TextIOWrapper")


SCRIPT = """
import desim
from torch import nn

scenario = desim.Scenario(
    name="again",
    seeds=(0,),
    problem=desim.Problem(
        dataset="digits",
        model=lambda: nn.Linear(64, 10),
        loss=lambda o, t: nn.functional.cross_entropy(o, t, reduction="none"),
        samples_per_worker=20,
    ),
    cluster=desim.Cluster(workers=4, hardware={"speed_sps": 50.0}),
    network=desim.Network(
        topology="ring", mixing="metropolis", link={"kind": "dedicated", "bandwidth_bps": 1e6}
    ),
    stop=desim.Stop(rounds=1),
    evaluate=desim.Evaluate(every_rounds=1),
    algorithms=({"kind": "dsgd", "batch": 4, "step_size": {"kind": "constant", "alpha": 0.5}},),
)
reports = []
desim.run(scenario, "out", jobs=1, progress=lambda now: reports.append(now.done))
print(reports[0])
"""


def test_the_same_script_run_twice_finds_its_finished_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("script.py").write_text(SCRIPT)
    kept = [runpy.run_path("script.py") for _ in range(2)]  # so that no address comes again
    assert capsys.readouterr().out == "0\n1\n"
    assert len({id(made["scenario"].problem.model.module) for made in kept}) == 2


# Classes named in a scenario


OWN = """
import desim

HELD = {held}


def helper(step):
    return {helped} * step


class Mine(desim.Rounds):
    '''Local steps.'''

    batch: int = 5

    def worker(self, me):
        x = me.initial_model()
        for _ in me.rounds():
            step = HELD * helper(me.step_size())
            x = me.record(x - step * (yield from me.compute(x, self.batch)))
            me.commit(x)


class Beside(Mine):
    '''{beside}'''
"""


@pytest.mark.parametrize(
    ("edit", "counts"),
    [({"held": 2}, True), ({"helped": 2}, True), ({"beside": "Another."}, False)],
)
def test_an_own_class_counts_with_what_it_uses(
    edit: dict[str, Any], counts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    name = f"mine_{'_'.join(edit)}"
    step = {"kind": "constant", "alpha": 0.5}
    mine = {"kind": f"{name}:Mine", "label": "mine", "step_size": step}
    write(Path("tiny.toml"), {"algorithms": [mine], "stop.rounds": 1})

    def run_as(changes: dict[str, Any]) -> None:
        values = {"held": 1, "helped": 1, "beside": ""} | changes
        Path(f"{name}.py").write_text(OWN.format(**values))
        monkeypatch.delitem(sys.modules, name, raising=False)
        simulator.run("tiny.toml", "out", jobs=1)

    run_as({})
    if counts:
        with pytest.raises(ResultsError, match=r"with algorithms\.mine = content"):
            run_as(edit)
    else:
        run_as(edit)
