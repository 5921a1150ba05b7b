"""A report goes where there is room for it; where it can't, one line says how it can."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from fabricated import Fabricator

from desim import analysis
from desim.analysis import style
from desim.analysis.errors import ResultsError


@pytest.fixture
def run(tmp_path: Path) -> Fabricator:
    made = Fabricator(tmp_path / "results", ["a", "b"])
    for label in "ab":
        made.decay(label, 0, 8.0)
    return made


WRITE = [analysis.report, analysis.web_report]
WAY_OUT = "the results are kept, and `desim report --out DIR` draws them elsewhere"


def refused(write: Any, folder: Path) -> str:
    with pytest.raises(ResultsError) as caught:
        write(folder)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(WAY_OUT)
    return text


@pytest.mark.parametrize("write", WRITE)
def test_a_file_in_the_way(write: Any, run: Fabricator) -> None:
    (run.folder / "report").write_text("mine")
    text = refused(write, run.folder)
    assert text.startswith(
        f"{run.folder / 'report'}: must be a folder that can be written (a file "
    )
    assert (run.folder / "report").read_text() == "mine"
    paths = write(run.folder, out=run.folder.parent / "deep" / "down")
    assert {path.parent for path in paths} == {run.folder.parent / "deep" / "down"}
    assert all(path.is_file() for path in paths)


@pytest.mark.parametrize("name", ["report.md", "speedup.csv", "train-loss-vs-time.svg"])
def test_a_full_disk(name: str, run: Fabricator) -> None:
    (run.folder / "report").mkdir()
    (run.folder / "report" / name).symlink_to("/dev/full")
    assert "(No space left on device)" in refused(analysis.report, run.folder)


@pytest.mark.parametrize("write", WRITE)
def test_a_folder_that_cannot_be_written(
    write: Any, run: Fabricator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", no)
        assert "(Permission denied)" in refused(write, run.folder)
    with monkeypatch.context() as patched:
        patched.setattr(style, "save", no)
        assert "(Permission denied)" in refused(write, run.folder)


def test_what_cannot_be_read_is_not_blamed_on_the_report(run: Fabricator) -> None:
    for file in run.folder.rglob("timeline.parquet"):
        file.unlink()
    with pytest.raises(Exception) as caught:  # noqa: PT011
        analysis.report(run.folder)
    assert "--out" not in str(caught.value)
