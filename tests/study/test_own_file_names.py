"""A user's own analysis.py and scenarios.py are the user's: installed, desim owns one name."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tiny import write

METHOD = '''
"""Alone."""

import desim


class Alone(desim.Algorithm):
    """x <- x - alpha gradient; nothing is sent."""

    batch: int = 5

    def worker(self, me):
        x = me.initial_model()
        for _ in me.rounds():
            x = x - me.step_size() * (yield from me.compute(x, self.batch))
            me.commit(x)
'''
#: As `python -m desim` has it, the working folder comes first where modules are looked for.
COMMANDS = """
import sys
from desim.cli.main import main

for command in sys.argv[1:]:
    sys.argv = ["desim", *command.split()]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise

import desim.analysis, desim.scenarios

assert "scenarios" not in sys.modules
"""


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_files_of_these_names_are_left_to_the_user(tmp_path: Path, jobs: int) -> None:
    (tmp_path / "analysis.py").write_text(METHOD)
    (tmp_path / "scenarios.py").write_text("raise ImportError('imported')")
    mine = {
        "kind": "analysis:Alone",
        "label": "mine",
        "step_size": {"kind": "constant", "alpha": 0.5},
    }
    write(tmp_path / "tiny.toml", {"algorithms.1": mine})
    commands = [
        f"run tiny.toml --out out --jobs {jobs}",
        "report out --html",
        "list scenarios",
    ]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, *commands],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "analysis:Alone" in (tmp_path / "out/report/report.html").read_text(encoding="utf-8")
    metrics = pd.read_parquet(tmp_path / "out/trials/mine-seed0/metrics.parquet")
    assert metrics["train_loss"].iloc[-1] < metrics["train_loss"].iloc[0]
    assert (metrics["bits_sent"] == 0).all()
