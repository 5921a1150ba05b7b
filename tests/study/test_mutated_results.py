"""Whatever lies in a results folder, to read it ends in numbers or in one line."""

import io
import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from mutated import change
from tiny import tiny

import desim as simulator
from desim import analysis
from desim.errors import DesimError, DesimWarning

#: How many of each; the first of them are tried in every run of the tests.
QUICK, READ, REPORTED, RESUMED = 30, 2000, 40, 300

CHANGES = {
    "algorithms": tiny()["algorithms"][:1],
    "stop.rounds": 2,
    "sweep": {"problem.l2": [0.0, 0.1]},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "results"
    return simulator.run(simulator.from_table(tiny(CHANGES)), out, jobs=1)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are opened from now on."""
    files: list[Path] = []

    def noting(do: Callable[..., Any]) -> Callable[..., Any]:
        def noted(file: Any, *rest: Any, **more: Any) -> Any:
            files.append(Path(file))
            return do(file, *rest, **more)

        return noted

    monkeypatch.setattr(io, "open", noting(io.open))
    monkeypatch.setattr(pq, "read_table", noting(pq.read_table))
    return files


def mutated(whole: Path, home: Path, seed: int) -> tuple[Path, str]:
    folder = home / "results"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    return folder, change(folder, random.Random(seed))


def look(folder: Path) -> None:
    """Reads all that there is; errors on purpose are fine."""
    names = [home.name for home in (folder / "trials").glob("*")]
    for read in (analysis.load, analysis.trials, analysis.summary):
        try:
            read(folder)
        except analysis.ResultsError as error:
            one_line(error)
    for name in (*names, "../trials/DSGD-seed0", "/etc", ""):
        for of_trial in (analysis.load_timeline, analysis.load_labels):
            try:
                of_trial(folder, name)
            except analysis.ResultsError as error:
                one_line(error)


def one_line(error: Exception) -> None:
    text = str(error)
    assert text.strip(), repr(error)
    assert len(text.splitlines()) == 1, text
    assert len(text) < 2000, text


def check(whole: Path, home: Path, seeds: range, opened: list[Path]) -> None:
    for seed in seeds:
        folder, what = mutated(whole, home, seed)
        opened.clear()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                look(folder)
        except Exception as error:
            error.add_note(f"seed {seed}: {what}")
            raise
        assert opened
        outside = [
            f for f in opened if f.suffix != ".py" and not f.resolve().is_relative_to(folder)
        ]
        assert not outside, (seed, what)


def test_some_mutated_folders_are_read(whole: Path, tmp_path: Path, opened: list[Path]) -> None:
    check(whole, tmp_path, range(QUICK), opened)


@pytest.mark.slow
def test_many_mutated_folders_are_read(whole: Path, tmp_path: Path, opened: list[Path]) -> None:
    check(whole, tmp_path, range(QUICK, READ), opened)


@pytest.mark.slow
def test_reports_of_mutated_folders(whole: Path, tmp_path: Path) -> None:
    for seed in range(10_000, 10_000 + REPORTED):
        folder, what = mutated(whole, tmp_path, seed)
        try:
            analysis.web_report(folder)
        except analysis.ResultsError as error:
            one_line(error)
        except Exception as error:
            error.add_note(f"seed {seed}: {what}")
            raise


@pytest.mark.slow
def test_a_mutated_folder_goes_on_to_the_right_numbers_or_is_refused(
    whole: Path, tmp_path: Path
) -> None:
    expected = {
        file.relative_to(whole): file.read_bytes() for file in whole.glob("trials/*/*.parquet")
    }
    done = 0
    for seed in range(20_000, 20_000 + RESUMED):
        folder, what = mutated(whole, tmp_path, seed)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DesimWarning)
                simulator.run(simulator.from_table(tiny(CHANGES)), folder, jobs=1)
        except DesimError as error:
            one_line(error)
            continue
        except Exception as error:
            error.add_note(f"seed {seed}: {what}")
            raise
        found = {
            file.relative_to(folder): file.read_bytes()
            for file in folder.glob("trials/*/*.parquet")
        }
        # Where a manifest agrees with a table of another making, nothing tells it from a true one.
        if not what.startswith("other_columns"):
            assert found == expected, (seed, what)
        done += 1
    assert done > RESUMED // 3
