"""Scenario files: where they are found, how they are spelled, what paths in them are meant from."""

from pathlib import Path

import pytest
from tiny import Call, write

from desim.scenario.scenario import Scenario, bundled, prepared, read

RING = "0 1\n1 2  # a comment\n\n2 3\n3 0\n"


def files(scenario: Scenario) -> list[str]:
    """The edge lists that its trials use."""
    topologies = [trial.setting.network.topology.table() for trial in scenario.trials()]
    return list(dict.fromkeys(topology["file"] for topology in topologies))


def test_a_file_is_meant_from_the_scenarios_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, desim: Call
) -> None:
    folder, here = tmp_path / "scenarios", tmp_path / "here"
    folder.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    (folder / "ring.txt").write_text(RING)
    table = {"kind": "edge-list", "file": "ring.txt"}
    scenario = write(folder / "tiny.toml", {"network.topology": table})
    assert files(read(scenario)) == [str(folder / "ring.txt")]
    assert desim("check", scenario, "--no-train").code == 0
    # In a sweep too.
    sweep = {"network.topology.file": ["ring.txt", "other.txt"]}
    swept = read(write(folder / "swept.toml", {"network.topology": table, "sweep": sweep}))
    assert files(swept) == [str(folder / "ring.txt"), str(folder / "other.txt")]
    tables = [{"kind": "edge-list", "file": "a.txt"}]
    swept = read(write(folder / "tables.toml", {"sweep": {"network.topology": tables}}))
    assert files(swept) == [str(folder / "a.txt")]


def test_folders_and_caches_are_meant_from_the_scenarios_folder_too(tmp_path: Path) -> None:
    for kind, key in (("mnist", "folder"), ("cifar10", "file"), ("openml", "cache")):
        table = {"kind": kind, key: "data", **({"name": "a"} if kind == "openml" else {})}
        scenario = read(write(tmp_path / "tiny.toml", {"problem.dataset": table}))
        assert scenario.problem.dataset.table()[key] == str(tmp_path / "data")
    swept = write(tmp_path / "tiny.toml", {"sweep": {"problem.dataset.folder": ["/a", "b"]}})
    text = swept.read_text().replace('dataset = "digits"', 'dataset = "mnist"')
    swept.write_text(text)
    folders = [trial.setting.problem.dataset.table()["folder"] for trial in read(swept).trials()]
    assert sorted(set(folders)) == ["/a", str(tmp_path / "b")]


def test_a_file_given_with_set_is_meant_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, desim: Call
) -> None:
    folder = tmp_path / "scenarios"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    Path("ring.txt").write_text(RING)
    scenario = write(folder / "tiny.toml")
    pair = "network.topology={kind='edge-list', file='ring.txt'}"
    assert desim("check", scenario, "--no-train", "--set", pair).code == 0
    table = {"kind": "edge-list", "file": "ring.txt"}
    by_table = prepared(scenario, {"network.topology": table}, None)
    by_key = prepared(by_table, {"network.topology.file": "ring.txt"}, None)
    assert files(by_table) == files(by_key) == [str(tmp_path / "ring.txt")]


@pytest.mark.parametrize("change", ["byte order mark", "carriage returns"])
def test_files_from_other_editors(change: str, tmp_path: Path) -> None:
    file = write(tmp_path / "tiny.toml")
    plain, content = read(file), file.read_bytes()
    if change == "byte order mark":
        file.write_bytes(b"\xef\xbb\xbf" + content)
    else:
        file.write_bytes(content.replace(b"\n", b"\r\n"))
    assert read(file) == plain


def test_a_file_goes_before_a_bundled_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read("quickstart").name == "quickstart"
    write(Path("quickstart"))
    assert read("quickstart").name == "tiny"


def test_every_bundled_scenario_can_be_read_and_says_what_it_is_for(desim: Call) -> None:
    assert bundled()
    for name, path in bundled().items():
        scenario = read(name)
        assert scenario.name == name
        assert len(list(scenario.trials())) >= 1
        assert path.read_text(encoding="utf-8").startswith("# ")
