"""QuanTimed-DSGD: what it is with constant speeds, and what batches of different sizes weigh."""

import numpy as np
import pytest
from builders import models, speeds
from one_sample_each import ALPHA, EXACT, MANY_EACH, D, N, gradients, mixing, run

BATCHES = np.array([[3, 0, 2], [1, 5, 3], [4, 2, 6], [2, 1, 0], [2, 2, 6], [7, 3, 1]])
EPSILON = 0.7


def test_with_constant_speeds_it_is_dsgd():
    fields = {"problem": MANY_EACH, "stragglers": speeds(*[10] * N)}
    quantimed = run({"kind": "quantimed-dsgd", "deadline_s": 0.5} | EXACT, **fields)
    dsgd = run({"kind": "dsgd", "batch": 5} | EXACT, **fields)
    np.testing.assert_allclose(models(quantimed), models(dsgd), rtol=0, atol=1e-10)
    assert quantimed.outcome.time_s == pytest.approx(dsgd.outcome.time_s)


@pytest.mark.parametrize("barrier", ["global", "neighbors"])
@pytest.mark.parametrize(
    ("deadline", "mean"),
    [({"deadline_s": 2.0}, BATCHES.mean() + 0.5), ({"expected_batch": BATCHES.mean() + 0.5},) * 2],
    ids=["deadline_s", "expected_batch"],
)
@pytest.mark.parametrize("weighting", ["workers", "samples"])
def test_the_weight_of_a_sample_or_of_a_worker_is_the_same(weighting, deadline, mean, barrier):
    method = {"kind": "quantimed-dsgd", "weighting": weighting, "barrier": barrier}
    given = {"stragglers": speeds(*((BATCHES + 0.5) / 2).tolist()), "epsilon": EPSILON}
    simulation = run(method | deadline | EXACT, **given)
    w, x = mixing(simulation), np.zeros((N, D))
    for t in range(50):
        b = BATCHES[:, [t % 3]]
        g = np.where(b > 0, gradients(x), 0)
        if weighting == "samples":
            g = g * b / (BATCHES.mean() + 0.5)
        x = x + EPSILON * (w @ x - x) - ALPHA * EPSILON * g
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)
    assert [worker.samples for worker in simulation.workers] == [
        BATCHES[i, np.arange(50) % 3].sum() for i in range(N)
    ]
