"""The batched tape against its oracle, which evaluates every operation alone when it is recorded.

After 50 rounds in float64 every worker's model agrees to 1e-12: only the order of sums differs.
"""

import numpy as np
import pytest
import torch
from builders import models, setting
from torch import nn

from desim.engine.simulation import Simulation
from desim.tensors.layers import is_chain
from desim.tensors.problem import Problem

WORKERS = 8
CLUSTER = {"kind": "uniform-speed", "low": 10.0, "high": 90.0}
UNEQUAL = {
    "kind": "dedicated",
    "bandwidth_bps": {"low": 1e5, "high": 1e6},
    "latency_s": {"low": 0.0, "high": 0.2},
}
STEP = {"step_size": {"kind": "constant", "alpha": 0.3, "epsilon": 0.8}}
NORM = {"kind": "low-precision", "levels": 255}
BUCKETS = {"kind": "low-precision", "levels": 31, "norm": "max", "bucket": 48}
GRID = {"kind": "random-rounding", "grid": 0.01, "range": 8.0}
HALF = {"kind": "none", "bits": 16}

DSGD = {"kind": "dsgd", "batch": 6}
Q_DSGD = {"kind": "q-dsgd", "batch": 6, "compressor": NORM}
QUANTIMED = {"kind": "quantimed-dsgd", "deadline_s": 0.12, "compressor": GRID}  # 1 to 10 samples
ASYNC = {"kind": "async-dsgd", "batch": 6}
NEIGHBOURS = {"barrier": "neighbors"}

METHODS = [
    DSGD,
    DSGD | NEIGHBOURS | {"compressor": HALF},
    Q_DSGD,
    Q_DSGD | NEIGHBOURS,
    Q_DSGD | {"compressor": BUCKETS},
    QUANTIMED,
    QUANTIMED | NEIGHBOURS,
    QUANTIMED | {"deadline_s": 0.03},  # 0 to 2 samples
    ASYNC,
    ASYNC | {"compressor": GRID, "visibility": "instant"},
    ASYNC | {"sending": "overlapped"},
    ASYNC | {"sending": "overlapped", "compressor": NORM},
]


class Skip(nn.Module):
    """Not a chain: two ways from the input to the output, and a normalisation."""

    def __init__(self):
        super().__init__()
        self.inner, self.norm = nn.Linear(64, 6), nn.LayerNorm(6)
        self.outer, self.direct = nn.Linear(6, 10), nn.Linear(64, 10, bias=False)

    def forward(self, x):
        return self.outer(torch.sigmoid(self.norm(self.inner(x)))) + self.direct(x)


class Dropping(Skip):
    """With dropout, whose masks are named by worker and step."""

    def forward(self, x):
        return super().forward(nn.functional.dropout(x, 0.3, self.training))


def problem(model=None, **changes):
    fields = {
        "dataset": "digits",
        "model": model or {"kind": "mlp", "hidden": [6]},
        "samples_per_worker": 25,
        "dtype": "float64",
    }
    return Problem(**(fields | changes))


def both(method, given, **changes):
    fields = {
        "workers": WORKERS,
        "topology": {"kind": "erdos-renyi", "p": 0.5},
        "stragglers": CLUSTER,
        "link": UNEQUAL,
        "stop": {"rounds": 50},
        "evaluate": {"every_rounds": 17},
        "problem": given,
        "seed": 4,
    }
    trial = setting(method | STEP, **(fields | changes))
    for one_by_one in (False, True):
        simulation = Simulation(trial, one_by_one=one_by_one)
        yield simulation, simulation.run()


def assert_equal(method, given, **changes):
    (batched, measured), (alone, expected) = both(method, given, **changes)
    found = models(batched)
    np.testing.assert_allclose(found, models(alone), rtol=0, atol=1e-12)
    # Not vacuous: the workers differ by far more.
    assert np.abs(found - found[0]).max() > 1e-3
    assert len(measured.rows) == len(expected.rows)
    for row, other in zip(measured.rows, expected.rows, strict=True):
        assert (row.time_s, row.steps, row.bits_sent) == (
            other.time_s,
            other.steps,
            other.bits_sent,
        )
        assert list(row.values.values()) == pytest.approx(
            list(other.values.values()), rel=1e-9, abs=1e-12
        )


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_method_gives_the_oracles_models(method):
    assert_equal(method, problem())


@pytest.mark.parametrize("sampling", ["replacement", "epochs"])
@pytest.mark.parametrize("method", [QUANTIMED, ASYNC], ids=lambda m: m["kind"])
def test_ridge_and_both_kinds_of_sampling_give_the_oracles_models(method, sampling):
    assert_equal(method, problem(sampling=sampling, l2=0.05))


@pytest.mark.parametrize("module", [Skip, Dropping])
@pytest.mark.parametrize("method", [QUANTIMED | NEIGHBOURS, ASYNC], ids=lambda m: m["kind"])
def test_a_module_that_is_no_chain_gives_the_oracles_models(method, module):
    assert not is_chain(module(), 1)
    assert_equal(method, problem(module), stop={"rounds": 30})


def test_a_regulariser_that_depends_on_the_batch_gives_the_oracles_models():
    def ridge(parameters, batch):
        return sum(p.square().sum() for p in parameters.values()) / (20 * batch)

    assert_equal(QUANTIMED, problem(regulariser=ridge))


@pytest.mark.parametrize("topology", ["complete", "ring", "star"])
def test_dense_and_sparse_graphs_give_the_oracles_models(topology):
    # A ring of 60 is sparse enough for the sparse product, a complete graph is not.
    small = problem("softmax", dataset={"kind": "digits", "classes": [0, 1]}, samples_per_worker=4)
    assert_equal(DSGD, small, workers=60 if topology == "ring" else 12, topology=topology)
