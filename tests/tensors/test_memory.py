"""A thousand workers of the paper's network fit in 4 GiB."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import resource
import numpy as np, torch
from builders import setting
from desim.engine.simulation import Simulation
from desim.tensors.datasets.base import Data
from desim.tensors.problem import Problem

torch.set_num_threads(1)
x = np.random.default_rng(0).random((20_000, 784), np.float32)
y = np.arange(20_000) % 10
problem = Problem(
    dataset=Data(x, y, x[:0], y[:0]), samples_per_worker=20, model={"kind": "mlp", "hidden": [50]}
)
method = {
    "kind": "METHOD",
    "batch": 20,
    "compressor": {"kind": "random-rounding", "grid": 0.01, "range": 8.0},
}
trial = setting(
    method, problem=problem, workers=1000, topology={"kind": "random-regular", "degree": 20},
    stop={"rounds": 6}, evaluate={"every_rounds": 3},
)
outcome = Simulation(trial).run()
assert outcome.rows[-1].round == 6
assert np.isfinite(outcome.rows[-1]["train_loss"])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["q-dsgd", "async-dsgd"])
def test_a_thousand_workers_fit_in_four_gibibytes(method: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("METHOD", method)],
        cwd=Path(__file__).parents[1],  # where builders.py is
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kibibytes = int(done.stdout)
    assert kibibytes < 4 * 2**20
