"""The command line in this process."""

import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import Call, Ended

from desim.cli import main as cli


@pytest.fixture
def desim(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Call:
    """Runs `desim ARGUMENTS`."""

    def call(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["desim", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Ended(ended.value.code or 0, *capfd.readouterr())

    return call


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a file's own fixture `whole` gives."""
    return Path(shutil.copytree(whole, tmp_path / "copied"))


@pytest.fixture(autouse=True)
def ctrl_c_arrives() -> Iterator[None]:
    """A shell's background jobs ignore Ctrl-C, and what they start inherits that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
