"""QuanTimed-DSGD's error falls as T^-delta on a quadratic, and only with an unbiased quantizer.

Theorem 1 of Reisizadeh et al. 2019: with alpha = c1 T^(-delta/2), epsilon = c2 T^(-3 delta/2) and
any delta in (0, 1/2), (1/n) sum_i E||x_i - x*||^2 after T rounds is of the order of T^-delta. On
f_i(x) = ||x - a_i||^2 / 2 everything can be computed: along an eigenvector u of W (eigenvalue
lambda, b = sum_i u_i (a_i - x*)) one round is

    y <- (1 - r) y + alpha epsilon b + noise,    r = epsilon (1 - lambda) + alpha epsilon

so that y goes to alpha b / (1 - lambda + alpha), forgets its start as (1 - r)^T, and has the
variance (variance of a round's noise) (1 - (1 - r)^(2T)) / (1 - (1 - r)^2). Two parts fall as
T^-delta: the workers' differences, as alpha^2, and the quantizer's noise on the mean model, as
epsilon / alpha. Sampling noise falls as alpha epsilon = T^(-2 delta).

Constants. W is the plain average over 6 of 8 workers (1 - lambda_2 = 2/3), so that alpha, 0.1 and
less, is well below 1 - lambda_2. c1 c2 is such that the start is forgotten after the shortest run.
The grid, 0.4, makes the quantizer's part about as large as the differences', while the mean model
moves by 0.1 to 0.2 grid cells only and x* is spread evenly over the cells: the variance of random
rounding, p (1 - p) grid^2 at the fraction p of a cell, is then grid^2 / 6 in the mean over 1,000
coordinates.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from desim.algorithms.quantimed_dsgd import QuanTimedDSGD
from desim.clock.links.dedicated import Dedicated
from desim.clock.stragglers.uniform_speed import UniformSpeed
from desim.engine.simulation import Simulation
from desim.mixings.uniform import Uniform
from desim.scenario.setting import Cluster, Network, Setting
from desim.scenario.stopping import Evaluate, Stop
from desim.step_sizes.strongly_convex import StronglyConvex
from desim.streams import Streams
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.random_rounding import RandomRounding
from desim.tensors.datasets.quadratic import Quadratic
from desim.tensors.models.quadratic import QuadraticModel
from desim.tensors.problem import Problem
from desim.tensors.wire import Reader, Writer
from desim.topologies.exponential import Exponential

WORKERS, DIMENSION, SEED = 8, 1000, 1
GRID = 0.4

#: V ~ U(10, 90) and T_d = 0.1: batches of 1 to 8 samples, equally often.
DEADLINE_S = 0.1
MEAN_INVERSE_BATCH = float(np.mean(1 / np.arange(1, 9)))

#: Chance leaves 2 % (long runs) to 4 % (T = 300) on an error: the quantizer's noise is averaged
#: over 1,000 coordinates, but a drawn sample moves all of them together. That is 0.01 to 0.02 on
#: a slope; terms of higher order in alpha and epsilon bend the line by 0.01 (`predicted_error`).
SLOPE_TOLERANCE = 0.05

#: Chance, plus what the constant grid^2 / 6 neglects: rounding is exact on a grid point, so that
#: models are found there a little more often, and the quantizer's part is up to 5 % smaller.
PREDICTION_TOLERANCE = 0.1

PROBLEM = Problem(
    dataset=Quadratic(samples=2 * WORKERS, dimension=DIMENSION),
    model=QuadraticModel(condition=1.0),
    samples_per_worker=2,
    dtype="float64",
)
NETWORK = Network(topology=Exponential(), mixing=Uniform(), link=Dedicated(bandwidth_bps=1e9))


class RoundingDown(Compressor):
    """The next multiple of grid below: a bounded error, but its mean isn't zero.

    Rounding to the nearest multiple would not do: it is wrong in another direction for each worker,
    and the workers' differences, wider than a cell, make it as good as unbiased.
    """

    error: ClassVar[Literal["none", "bounded", "relative"]] = "bounded"
    unbiased: ClassVar[bool] = False
    random: ClassVar[bool] = False

    grid: float

    def size_bits(self, parameters: int) -> int:
        return 8 * parameters

    def error_bound(self, parameters: int) -> float:
        return parameters * self.grid**2

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        return torch.floor(rows / self.grid) * self.grid

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        message.integers(torch.floor(x / self.grid).clamp(-128, 127) + 128, 8)

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        levels = torch.from_numpy(message.integers(parameters, 8) - 128)
        return levels.to(dtype) * self.grid


def squared_error(rounds: int, step_size: StronglyConvex, compressor: Compressor) -> float:
    """(1/n) sum_i ||x_i - x*||^2 after a run of its own: around the mean, plus that of the mean."""
    setting = Setting(
        PROBLEM,
        Cluster(workers=WORKERS, stragglers=UniformSpeed(low=10.0, high=90.0)),
        NETWORK,
        Stop(rounds=rounds),
        Evaluate(every_rounds=rounds),
        QuanTimedDSGD(deadline_s=DEADLINE_S, step_size=step_size, compressor=compressor),
        seed=SEED,
    )
    measures = Simulation(setting).run().rows[-1]
    points = PROBLEM.dataset.load().train_x
    optimum = 0.5 * np.square(points - points.mean(0)).sum(1).mean()
    return measures["consensus_error"] + 2 * (measures["train_loss"] - float(optimum))


def predicted_error(rounds: int, step_size: StronglyConvex, grid: float) -> tuple[float, float]:
    """The error that the recursion above gives, and the part of it that the start is to blame for.

    Only what neighbours send is quantized, so a round's quantizer noise is epsilon (W - diag W) e.
    """
    data, streams = PROBLEM.dataset.load(), Streams(SEED)
    held = np.stack([data.train_x[s] for s in PROBLEM.assign(data, WORKERS, streams)])
    matrix = NETWORK.weights(WORKERS, streams).matrix().toarray()
    eigenvalues, vectors = np.linalg.eigh(matrix)
    alpha, epsilon = step_size.within(rounds, None).at(0, 0.0)
    optimum = held.mean((0, 1))
    differences = vectors.T @ (held.mean(1) - optimum)
    start = vectors.T @ np.tile(-optimum, (WORKERS, 1))
    kept = 1 - epsilon * (1 - eigenvalues) - alpha * epsilon
    fixed = (alpha / (1 - eigenvalues + alpha))[:, None] * differences
    mean = fixed + (kept**rounds)[:, None] * (start - fixed)
    quantizer = (epsilon * (eigenvalues - matrix[0, 0])) ** 2 * DIMENSION * grid**2 / 6
    samples = (alpha * epsilon) ** 2 * held.var(1).sum(1).mean() * MEAN_INVERSE_BATCH
    variance = (quantizer + samples) * (1 - kept ** (2 * rounds)) / (1 - kept**2)
    error = (np.square(mean).sum() + variance.sum()) / WORKERS
    return float(error), float(kept[-1] ** (2 * rounds) * np.square(optimum).sum())


def slope(horizons: Sequence[int], errors: Sequence[float]) -> float:
    return float(np.polyfit(np.log(horizons), np.log(errors), 1)[0])


def assert_falls_as_predicted(step_size: StronglyConvex, horizons: Sequence[int]) -> None:
    compressor = RandomRounding(grid=GRID, range=8.0)
    errors = [squared_error(rounds, step_size, compressor) for rounds in horizons]
    predicted, from_start = zip(
        *(predicted_error(rounds, step_size, GRID) for rounds in horizons), strict=True
    )
    assert max(np.divide(from_start, errors)) < 1e-3, "the start isn't forgotten: c1 c2 too small"
    assert slope(horizons, errors) == pytest.approx(-step_size.delta, abs=SLOPE_TOLERANCE)
    np.testing.assert_allclose(errors, predicted, rtol=PREDICTION_TOLERANCE)


@pytest.mark.slow
def test_the_error_falls_as_the_theorem_says() -> None:
    assert_falls_as_predicted(StronglyConvex(delta=0.2, c1=0.2, c2=2.0), (300, 1000, 3000))


@pytest.mark.slow
@pytest.mark.parametrize(
    "step_size",
    [StronglyConvex(delta=0.2, c1=0.2, c2=2.0), StronglyConvex(delta=0.4, c1=0.4, c2=10.0)],
    ids=lambda step_size: f"delta={step_size.delta}",
)
def test_the_error_falls_as_the_theorem_says_in_long_runs(step_size: StronglyConvex) -> None:
    assert_falls_as_predicted(step_size, (1000, 3000, 10_000, 30_000))


@pytest.mark.slow
def test_with_biased_rounding_the_error_grows() -> None:
    """What arrives is half a cell too low in the mean, in every round.

    The mean model stays where the gradient makes up for it, alpha (x* - x) = (1 - w_ii) grid / 2,
    so that the error grows as 1 / alpha^2 = T^delta. The grid is a tenth of the one above: models
    must be able to leave the cell that they start in, and to lie evenly in their cells.
    """
    step_size, horizons, grid = StronglyConvex(delta=0.2, c1=0.2, c2=2.0), (100, 300, 1000), 0.04
    errors = [squared_error(t, step_size, RoundingDown(grid=grid)) for t in horizons]
    own_weight = NETWORK.weights(WORKERS, Streams(SEED)).own[0]
    offsets = [
        (1 - own_weight) * grid / 2 / step_size.within(t, None).at(0, 0.0)[0] for t in horizons
    ]
    unbiased = [predicted_error(t, step_size, grid)[0] for t in horizons]
    assert min(np.diff(errors)) > 0
    assert errors[-1] > 5 * unbiased[-1]
    np.testing.assert_allclose(
        errors, DIMENSION * np.square(offsets) + unbiased, rtol=PREDICTION_TOLERANCE
    )
