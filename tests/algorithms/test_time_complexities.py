"""The time to a squared gradient norm eps orders as the optimal time complexities say.

For n workers that hold the same data and take tau_1 <= ... <= tau_n seconds for a gradient of
variance sigma^2, Tyurin & Richtarik (2023, arXiv 2305.12387) give, up to a common constant and with
r = sigma^2 / eps,

    optimal (Rennala, Ringmaster)   min_m (1/m sum_{i <= m} 1/tau_i)^-1 (1 + r / m)
    plain asynchronous              the same with m = n
    synchronous                     tau_n (1 + r / n)

These are bounds over all smooth functions. A quadratic attains them where its slowest direction has
a small curvature 1/kappa: the steps are bounded by curvature 1 (at 2 for synchronous steps) and by
the noise (2 m eps / sigma^2 for m gradients), so that 1 / alpha is about (1 + r / m) / 2, and the
number of steps is kappa log(...) / alpha. Plain asynchronous SGD attains its bound where slow
workers make up most of the throughput, as with tau_i = sqrt(i): steps beyond 2.5 / n (pi^2 / (4 n)
for many workers) diverge then. With tau_i = i slow workers hardly count, and it does better on a
quadratic than the bound says.
Each method has the best step of a small grid, and R or S the best of two multiples of r. Ratios
of times must agree with those of the formulas within 30 %: the budget eps is shared by noise and
bias, and the logarithms differ, both of which the formulas leave out.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from builders import setting, speeds

from desim.engine.simulation import Simulation
from desim.tensors.models._point import Point
from desim.tensors.models.quadratic import QuadraticModel
from desim.tensors.partitions.base import Partition
from desim.tensors.problem import Problem

D = 200


class TwoCurvatures(QuadraticModel):
    """Curvature 1 in one half of the coordinates and 1 / condition in the other."""

    kind: ClassVar[str]

    def build(self, shape):
        half = torch.ones(shape.outputs // 2, dtype=torch.float64)
        return Point(torch.cat([half, half / self.condition]))


class Same(Partition):
    """Everyone holds the same samples."""

    def assign(self, targets, workers, samples_per_worker, random):
        return [np.arange(samples_per_worker)] * workers


@dataclass(frozen=True)
class Case:
    """Workers, a quadratic and a target.

    Attributes:
        times_s: tau.
        r: sigma^2 / eps.
        kappa: the condition.
        above: how many times eps the slow directions' squared gradient norm is at first.
        samples: of each worker.
        partition: who holds which.
        seeds: the curves are means over so many.
    """

    times_s: np.ndarray
    r: float
    kappa: float
    above: float
    samples: int
    partition: Partition | str
    seeds: int

    @property
    def eps(self):
        return D / 2 / self.kappa**2 / self.above

    def formulas(self):
        """Of the optimum, plain asynchronous and synchronous SGD."""
        n = len(self.times_s)
        harmonic = np.arange(1, n + 1) / np.cumsum(1 / self.times_s)
        times = harmonic * (1 + self.r / np.arange(1, n + 1))
        return times.min(), times[-1], self.times_s[-1] * (1 + self.r / n)

    def problem(self):
        noise = self.r * self.eps / (D / 2 * (1 + self.kappa**-2))
        samples = self.samples * len(self.times_s)
        dataset = {"kind": "quadratic", "samples": samples, "dimension": D}
        return Problem(
            dataset=dataset | {"spread": noise**0.5},
            model=TwoCurvatures(condition=self.kappa),
            samples_per_worker=self.samples,
            partition=self.partition,
            dtype="float64",
        )

    def reached_s(self, method, alphas, until_s):
        """The earliest time, over the steps, from which on the norm stays below eps."""
        return min(self._reached_s(method, alpha, until_s) for alpha in alphas)

    def _reached_s(self, method, alpha, until_s):
        curves = [self._norms(method, alpha, until_s, seed) for seed in range(self.seeds)]
        times = curves[0][:, 0]
        above = np.flatnonzero(~(np.mean([c[:, 1] for c in curves], 0) <= self.eps))
        return times[above[-1] + 1] if above[-1] + 1 < len(times) else np.inf

    def _norms(self, method, alpha, until_s, seed):
        """(time, squared gradient norm) of one run."""
        exact = {"kind": "none", "bits": 64}
        method = method | {"batch": 1, "compressor": exact, "model_compressor": exact}
        given = setting(
            method | {"step_size": {"kind": "constant", "alpha": alpha}},
            workers=len(self.times_s),
            stragglers=speeds(*(1 / self.times_s)),
            problem=self.problem(),
            stop={"time_s": until_s},
            evaluate={"every_s": until_s / 60},
            seed=seed,
        )
        rows = Simulation(given).run().rows
        return np.array([(row.time_s, row["grad_norm_sq"]) for row in rows])


#: With so much noise all gradients are worth the same: the optimum is what asynchronous SGD does,
#: and synchronous SGD is tau_n mean(1 / tau) = 2.93 times slower. All hold the same data, as means
#: of parts would differ by more than eps.
NOISY = Case(np.arange(1.0, 11.0), 300.0, 1.0, 50.0, 200, Same(), 3)
NOISY_METHODS = [
    ({"kind": "sync-sgd"}, (0.045, 0.055, 0.065), 720.0),
    ({"kind": "async-sgd"}, (0.005, 0.0058), 280.0),
    ({"kind": "ringmaster-asgd", "delay_limit": 300}, (0.005, 0.0058), 280.0),
    ({"kind": "rennala-sgd", "batches": 150}, (0.6, 0.7), 280.0),
    ({"kind": "rennala-sgd", "batches": 300}, (0.85,), 280.0),
]
#: With so little noise only the few fastest of 100 workers are worth waiting for.
CALM = Case(np.sqrt(np.arange(1.0, 101.0)), 1.0, 10.0, 100.0, 30, "iid", 2)
CALM_METHODS = [
    ({"kind": "sync-sgd"}, (1.5, 1.7), 180.0),
    ({"kind": "async-sgd"}, (0.0114, 0.0125), 140.0),
    ({"kind": "ringmaster-asgd", "delay_limit": 1}, (0.86,), 48.0),
    ({"kind": "ringmaster-asgd", "delay_limit": 4}, (0.3, 0.37), 48.0),
    ({"kind": "rennala-sgd", "batches": 1}, (0.8, 0.86), 48.0),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "methods"), [(NOISY, NOISY_METHODS), (CALM, CALM_METHODS)], ids=["noisy", "calm"]
)
def test_methods_are_ahead_by_what_the_formulas_say(case, methods):
    reached = {}
    for method, alphas, until_s in methods:
        time_s = case.reached_s(method, alphas, until_s)
        reached[method["kind"]] = min(time_s, reached.get(method["kind"], np.inf))
    optimal, asynchronous, synchronous = case.formulas()
    for kind in ("ringmaster-asgd", "rennala-sgd"):
        ahead = reached["async-sgd"] / reached[kind], reached["sync-sgd"] / reached[kind]
        assert ahead == pytest.approx((asynchronous / optimal, synchronous / optimal), rel=0.3)
