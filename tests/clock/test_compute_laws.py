"""Speeds: what every law promises, and the paper's uniform one."""

from math import log

import numpy as np
import pytest
from builders import examples, label, setting, simulate

from desim.clock.compute.base import Speeds
from desim.clock.compute.uniform_speed import UniformSpeed
from desim.streams import Streams

LAWS = examples("compute")


@pytest.mark.parametrize("law", LAWS, ids=label)
def test_speeds_are_positive_with_the_stated_mean(law):
    draws = np.stack([law.speeds_sps(Streams(0), i, np.arange(500)) for i in range(40)])
    assert draws.shape == (40, 500)
    assert (draws > 0).all()
    # Over workers and steps; steps of a worker may depend on each other, workers don't: 5 standard
    # errors of the mean over workers, and rounding.
    means = draws.mean(1)
    error = 5 * means.std() / 40**0.5 + 1e-12 * law.mean_speed_sps()
    assert means.mean() == pytest.approx(law.mean_speed_sps(), abs=error)


@pytest.mark.parametrize("law", LAWS, ids=label)
def test_a_step_has_the_same_speed_however_it_is_asked_for(law):
    together = law.speeds_sps(Streams(4), 3, np.arange(200))
    speeds = Speeds(law, Streams(4), 3)
    assert [speeds.at(k) for k in range(200)] == together.tolist()
    backwards = Speeds(law, Streams(4), 3)
    assert [backwards.at(k) for k in (130, 5, 64, 63, 0)] == together[[130, 5, 64, 63, 0]].tolist()


def test_uniform_speeds_have_the_papers_mean_inverse():
    # E[1/V] = ln(9)/80 = 0.027465; V's inverse has a standard deviation of 0.0189.
    law = UniformSpeed(low=10.0, high=90.0)
    draws = np.concatenate([law.speeds_sps(Streams(2), i, np.arange(1000)) for i in range(100)])
    assert (1 / draws).mean() == pytest.approx(log(9) / 80, abs=5 * 0.0189 / 100_000**0.5)
    # The largest of 50: 0.08773, standard deviation 0.0096.
    worst = (1 / draws.reshape(2000, 50)).max(1)
    assert worst.mean() == pytest.approx(0.08773, abs=5 * 0.0096 / 2000**0.5)


def test_the_kth_gradient_of_a_worker_is_equally_slow_under_every_method():
    random = {"kind": "uniform-speed", "low": 10.0, "high": 90.0}
    link = {"kind": "dedicated", "bandwidth_bps": 1000.0}
    found = []
    for method in (
        {"kind": "dsgd", "batch": 20},
        {"kind": "async-dsgd", "batch": 20},
        {"kind": "async-dsgd", "batch": 20, "sending": "overlapped"},
        {"kind": "quantimed-dsgd", "deadline_s": 100.0},
    ):
        trial = simulate(
            setting(method, workers=5, compute=random, link=link, stop={"rounds": 150}, seed=9)
        )
        rows = [trial.rows("compute", i).iloc[:100] for i in range(5)]
        found.append(np.array([r.samples / (r.end_s - r.start_s) for r in rows]))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-9)
    # Rounded down, out of at least 1,000 samples.
    np.testing.assert_allclose(found[3], found[0], rtol=1e-3)
    # Another seed is another cluster.
    other = simulate(setting({"kind": "dsgd", "batch": 20}, workers=5, compute=random, seed=10))
    assert other.rows("compute", 0).end_s.iloc[0] != pytest.approx(20 / found[0][0, 0], rel=1e-3)
