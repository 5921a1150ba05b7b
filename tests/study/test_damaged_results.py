"""What is on disk is checked when a run goes on: a damaged trial is run anew, and said so."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import Call, sums, tiny, write

import desim as simulator
from desim import analysis
from desim.errors import DesimWarning, ResultsError
from desim.schema.results import MANIFEST, checksum
from desim.studies import manifest as manifests

CHANGES = {"stop.rounds": 2}
TRIAL = "QT-seed0"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "results"
    return simulator.run(simulator.from_table(tiny(CHANGES)), out, jobs=1)


def go_on(out: Path, **more: bool) -> None:
    simulator.run(simulator.from_table(tiny(CHANGES)), out, jobs=1, **more)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:200])


def multiplied(file: Path) -> None:
    table = pq.read_table(file)
    place = table.column_names.index("time_s" if "time_s" in table.column_names else "worker")
    values = pa.array([2 * v for v in table.column(place).to_pylist()], table.field(place).type)
    pq.write_table(table.set_column(place, table.field(place), values), file)


def one_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("name", ["labels.parquet", "metrics.parquet", "timeline.parquet"])
@pytest.mark.parametrize("damage", [cut, multiplied, one_bit])
def test_a_damaged_table(damage: Callable[[Path], None], name: str, copied: Path) -> None:
    before = sums(copied)
    damage(copied / "trials" / TRIAL / name)
    with pytest.raises(analysis.ResultsError, match=rf"{name}: can't be read \(it isn't as it was"):
        {"labels": analysis.load_labels, "timeline": analysis.load_timeline}.get(
            name.partition(".")[0], lambda folder, _: analysis.load(folder)
        )(copied, TRIAL)
    with pytest.warns(DesimWarning) as said:
        go_on(copied)
    assert [str(one.message) for one in said] == [
        f"--out = {copied}: run anew, being damaged: {TRIAL} ({name} isn't as it was written)"
    ]
    assert [one.filename for one in said] == [__file__]
    assert sums(copied) == before
    go_on(copied)  # and says nothing more


MANIFESTS: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "",
    "list": lambda text: "[]",
    "table": lambda text: "{}",
    "half": lambda text: text[: len(text) // 2],
    "nested": lambda text: "[" * 20_000,
    "digits": lambda text: "1" * 5_000,
    "number": lambda text: text.replace('"seed": 0', '"seed": 1'),
    "outside": lambda text: text.replace("metrics.parquet", "../../../metrics.parquet"),
    "older": lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != MANIFEST}),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_damaged_manifest(name: str, copied: Path, desim: Call) -> None:
    before = sums(copied)
    file = copied / "trials" / TRIAL / MANIFEST
    file.write_text(MANIFESTS[name](file.read_text()))
    if name != "older":
        with pytest.raises(analysis.ResultsError, match=MANIFEST):
            analysis.trials(copied)
        assert MANIFEST in desim("report", copied).complaint
    with pytest.warns(DesimWarning, match=rf"anew, being damaged: {TRIAL} \({MANIFEST} "):
        go_on(copied)
    assert sums(copied) == before


def test_names_in_manifests_are_no_paths(copied: Path) -> None:
    outside = copied.parent / "metrics.parquet"
    shutil.copy(copied / "trials" / TRIAL / "metrics.parquet", outside)
    edit(copied, trial="../../..")
    with pytest.raises(analysis.ResultsError, match=r"is that of '\.\./\.\./\.\.'"):
        analysis.load(copied)
    edit(copied, trial=TRIAL, checksums={"../../../metrics.parquet": "0"})
    with pytest.warns(DesimWarning, match="damaged"):
        go_on(copied)
    for name in ("../x", "..", "", "/etc", f"../trials/{TRIAL}"):
        for read in (analysis.load_timeline, analysis.load_labels):
            with pytest.raises(analysis.ResultsError, match="no finished trial of this name"):
                read(copied, name)


def test_a_manifest_without_its_trials_name(copied: Path) -> None:
    file = copied / "trials" / TRIAL / MANIFEST
    table = {k: v for k, v in json.loads(file.read_text()).items() if k not in ("trial", MANIFEST)}
    file.write_text(json.dumps(table | {MANIFEST: checksum(table)}))
    with pytest.raises(analysis.ResultsError, match=rf"{MANIFEST} doesn't say its trial; call the"):
        analysis.trials(copied)
    with pytest.warns(DesimWarning, match=rf"{TRIAL} \({MANIFEST} doesn't say its trial\)"):
        go_on(copied)
    analysis.trials(copied)


def test_an_empty_scenario_is_damaged(copied: Path, desim: Call) -> None:
    (copied / "scenario.toml").write_text("")
    file = write(copied.parent / "tiny.toml", CHANGES)
    for command in (["report", copied], ["run", file, "--out", copied]):
        complaint = desim(*command).complaint
        assert f"{copied}/scenario.toml: is damaged (it is empty); remove the folder" in complaint


def test_a_trial_of_another_name_is_run_anew(copied: Path) -> None:
    before = sums(copied)
    other = copied / "trials" / "DSGD-seed0"
    shutil.rmtree(other)
    shutil.copytree(copied / "trials" / TRIAL, other)
    with pytest.warns(DesimWarning, match=rf"DSGD-seed0 \({MANIFEST} is that of '{TRIAL}'\)"):
        go_on(copied)
    assert sums(copied) == before


def edit(folder: Path, trials: str = TRIAL, **changes: object) -> None:
    for file in folder.glob(f"trials/{trials}/{MANIFEST}"):
        table = json.loads(file.read_text()) | changes
        del table[MANIFEST]
        file.write_text(json.dumps(table | {MANIFEST: checksum(table)}, indent=1) + "\n")


def test_other_versions(copied: Path, desim: Call) -> None:
    old = manifests.versions() | {"torch": "1.0"}
    edit(copied, versions=old)
    before = sums(copied)
    said = f"holds trials run with torch 1.0 (now {manifests.versions()['torch']})"
    with pytest.raises(ResultsError) as caught:
        go_on(copied, strict=True)
    assert str(caught.value) == (
        f"--strict: {copied} {said}; take that version, or choose another folder"
    )
    assert sums(copied) == before
    file = write(copied.parent / "tiny.toml", CHANGES)
    assert said in desim("run", file, "--out", copied, "--strict").complaint
    ended = desim("run", file, "--out", copied, "--quiet")
    assert ended.code == 0
    assert ended.err == (
        f"desim: --out = {copied}: {said}; the results are mixed, which --strict refuses\n"
    )
    trials = analysis.trials(copied).set_index("trial")["versions"]
    assert "torch 1.0," in trials[TRIAL]
    assert "torch 1.0," not in trials["DSGD-seed0"]
    report = (copied / "report" / "report.md").read_text()
    assert "they were run under different versions: 1 x " in report


def test_a_search_checks_what_it_finds(tmp_path: Path) -> None:
    scenario, grid = simulator.from_table(tiny(CHANGES)), simulator.Grid(3, 0)
    out = simulator.tune(scenario, tmp_path / "out", grid=grid, jobs=1).folder
    before = sums(out)
    damaged = min(out.glob("trials/*/metrics.parquet"))
    multiplied(damaged)
    with pytest.warns(DesimWarning, match="run anew, being damaged: "):
        simulator.tune(scenario, out, grid=grid, jobs=1)
    assert sums(out) == before
    edit(out, "*", versions={})
    with pytest.raises(ResultsError, match=r"^--strict: .* holds trials run with .* \(unknown\)"):
        simulator.tune(scenario, out, grid=grid, jobs=1, strict=True)


BEGUN: dict[str, list[str]] = {
    "trials only": [],
    "before the description": ["results.json.part"],
    "before the scenario": ["results.json", "scenario.toml.part"],
}


@pytest.mark.parametrize("name", BEGUN)
def test_a_folder_of_a_run_that_ended_in_its_first_instant(
    name: str, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "trials").mkdir(parents=True)
    for file in BEGUN[name]:
        part = (whole / file.removesuffix(".part")).read_bytes()
        (out / file).write_bytes(part[:20] if file.endswith(".part") else part)
    go_on(out)
    assert sums(out) == sums(whole)


@pytest.mark.parametrize("foreign", ["notes.txt", "trials/mine/notes.txt"])
def test_other_files_beside_trials_are_not_touched(foreign: str, tmp_path: Path) -> None:
    (tmp_path / "trials").mkdir()
    (tmp_path / foreign).parent.mkdir(exist_ok=True)
    (tmp_path / foreign).write_text("mine")
    with pytest.raises(ResultsError, match="holds other files; choose another folder"):
        go_on(tmp_path)
    assert (tmp_path / foreign).read_text() == "mine"


FULL = """
import resource, signal, sys
from desim.cli.main import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 100, 500, 1000, 2000, 3000, 4000])
def test_a_disk_that_is_full_is_one_line_and_the_same_command_goes_on(
    room: int, whole: Path, tmp_path: Path
) -> None:
    """No file may get longer than the room: a write then fails as on a full disk."""
    file, out = write(tmp_path / "tiny.toml", CHANGES), tmp_path / "out"
    longest = max(f.stat().st_size for f in whole.rglob("*") if "report" not in f.parts)
    assert room < longest
    ended = subprocess.run(
        [sys.executable, "-c", FULL, str(room), "run", file, "--out", out, "--jobs", "1"],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert ended.returncode == 2, ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert ended.stderr.startswith("desim: "), ended.stderr
    assert not list(out.rglob("*.part"))
    go_on(out)
    assert sums(out) == sums(whole)


def test_no_room_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(simulator.SimulationError, match=r"^\$TMPDIR: must be a folder for "):
        go_on(tmp_path / "out")
