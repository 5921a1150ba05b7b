"""A global barrier's round takes as long as the slowest of n: closed forms of order statistics.

With batches of 1 and messages that take no time a round is the maximum of n draws of 1/V:

    exponential          mean H_n, H_n = 1 + 1/2 + ... + 1/n; standard deviation
                         mean sqrt(1 + 1/4 + ... + 1/n^2)
    shifted exponential  shift more
    Pareto               E[max^k] = minimum^k Gamma(n + 1) Gamma(1 - k/a) / Gamma(n + 1 - k/a)
    uniform speed        F(t) = (1 - (1/t - low) / (high - low))^n, integrated numerically; of
                         V ~ U(10, 90) and n = 50 known to be 0.08773

The tolerance is 1 %, and as many rounds are simulated as make that three standard errors of their
mean (four in the slow tests).
"""

from dataclasses import dataclass
from math import ceil, gamma, sqrt

import pytest
from builders import setting
from scipy.integrate import quad

from desim.engine.simulation import Simulation

TOLERANCE = 0.01


@dataclass(frozen=True)
class Slowest:
    """The mean and the standard deviation of the slowest of n."""

    mean_s: float
    deviation_s: float


def exponential(n, mean=1.0, shift=0.0):
    ks = range(1, n + 1)
    return Slowest(shift + mean * sum(1 / k for k in ks), mean * sqrt(sum(1 / k**2 for k in ks)))


def pareto(n, index, minimum):
    def moment(k):
        return minimum**k * gamma(n + 1) * gamma(1 - k / index) / gamma(n + 1 - k / index)

    return Slowest(moment(1), sqrt(moment(2) - moment(1) ** 2))


def uniform_speed(n, low, high):
    def moment(k):  # E[T^k] = t_0^k + integral of k t^(k-1) (1 - F(t)), t_0 the shortest time
        def tail(t):
            return k * t ** (k - 1) * (1 - (1 - (1 / t - low) / (high - low)) ** n)

        return (1 / high) ** k + quad(tail, 1 / high, 1 / low, epsabs=0, epsrel=1e-10)[0]

    return Slowest(moment(1), sqrt(moment(2) - moment(1) ** 2))


def test_the_papers_slowest_of_50():
    assert uniform_speed(50, 10.0, 90.0).mean_s == pytest.approx(0.08773, abs=5e-6)


def mean_round_s(stragglers, n, rounds):
    """In the real simulator; steps of a worker and workers are independent, so rounds are."""
    trial = setting(
        {"kind": "dsgd", "batch": 1},
        workers=n,
        stragglers=stragglers,
        stop={"rounds": rounds},
        seed=3,
    )
    outcome = Simulation(trial, train=False).run()
    assert outcome.rows[-1].round == rounds
    return outcome.time_s / rounds


def assert_closed_form(stragglers, n, slowest, errors=3):
    rounds = ceil((errors * slowest.deviation_s / (TOLERANCE * slowest.mean_s)) ** 2)
    found_s = mean_round_s(stragglers, n, rounds)
    assert found_s == pytest.approx(slowest.mean_s, rel=TOLERANCE)


def test_exponential():
    assert_closed_form({"kind": "exponential", "mean": 0.4}, 8, exponential(8, mean=0.4))


def test_shifted_exponential():
    table = {"kind": "shifted-exponential", "shift": 1.0, "mean": 0.5}
    assert_closed_form(table, 20, exponential(20, mean=0.5, shift=1.0))


def test_pareto():
    table = {"kind": "pareto", "index": 5.0, "minimum": 0.2}
    assert_closed_form(table, 12, pareto(12, 5.0, 0.2))


def test_uniform_speed():
    table = {"kind": "uniform-speed", "low": 10.0, "high": 90.0}
    assert_closed_form(table, 50, uniform_speed(50, 10.0, 90.0))


def test_slowest_of_persistent_speeds_is_the_same_in_every_round():
    table = {"kind": "exponential", "persistent": True}
    assert mean_round_s(table, 8, 50) == pytest.approx(mean_round_s(table, 8, 1), rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stragglers", "n", "slowest"),
    [
        ({"kind": "exponential"}, 50, exponential(50)),
        ({"kind": "shifted-exponential"}, 50, exponential(50, shift=1.0)),
        ({"kind": "pareto", "index": 3.0}, 10, pareto(10, 3.0, 1.0)),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_more_workers_and_heavier_tails(stragglers, n, slowest):
    assert_closed_form(stragglers, n, slowest, errors=4)
