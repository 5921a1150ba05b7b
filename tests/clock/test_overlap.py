"""Sending while computing: the same models, sooner."""

import numpy as np
import pytest
from builders import models, problem, setting, simulate

#: 5 samples at one a second, and messages of 128 bits that take 2 s and arrive 1 s later.
LINK = {"kind": "dedicated", "bandwidth_bps": 64.0, "latency_s": 1.0}
METHODS = [
    {"kind": "dsgd", "batch": 5},
    {"kind": "quantimed-dsgd", "deadline_s": 5.0},
    {"kind": "q-dsgd", "batch": 5, "compressor": {"kind": "none", "bits": 32}},
]


@pytest.mark.parametrize("barrier", ["global", "neighbors"])
@pytest.mark.parametrize("method", METHODS, ids=lambda m: m["kind"])
def test_a_round_takes_the_longer_of_computing_and_sending(method, barrier):
    method = method | {"barrier": barrier}
    for overlap, compute_s, round_s in ((False, 5, 8), (True, 5, 5), (True, 2, 3)):
        length = {"batch": compute_s} if "batch" in method else {"deadline_s": float(compute_s)}
        trial = simulate(setting(method | length | {"overlap": overlap}, link=LINK))
        assert trial.outcome.time_s == pytest.approx(3 * round_s)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: m["kind"])
def test_the_models_are_the_same(method):
    uneven = {"stragglers": {"kind": "uniform-speed", "low": 1.0, "high": 9.0}}
    found = [
        models(
            simulate(
                setting(
                    method | {"overlap": overlap},
                    workers=6,
                    link=LINK,
                    problem=problem(dtype="float64"),
                    stop={"rounds": 10},
                    **uneven,
                ),
                train=True,
            ).simulation
        )
        for overlap in (False, True)
    ]
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-13)
