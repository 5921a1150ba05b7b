"""`desim.calibration`: a known machine is found exactly, and the real one to within 15 %."""

import random
import time
from collections.abc import Callable, Sequence
from math import exp, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders import setting, simulate
from torch import Tensor, nn

from desim.clock.hardware import Hardware
from desim.clock.stragglers.none import NoStragglers
from desim.errors import ScenarioError
from desim.measuring.calibration import (
    LADDER,
    Calibration,
    Timed,
    calibrate,
    default_batches,
    fitted_line,
)
from desim.measuring.profile_file import Origin, profile, write
from desim.scenario.scenario import read
from desim.tensors.datasets.base import Data
from desim.tensors.problem import Problem

ORIGIN = Origin("A machine", "2025-11-25", "2.9", "mlp", "digits", "desim calibrate quickstart")


class Machine(nn.Module):
    """A model that takes a known time for its forward pass, on a clock of its own."""

    def __init__(self, seconds: Callable[[int], float]) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.seconds, self.now_s = seconds, 0.0
        self.batches: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.now_s += self.seconds(len(x))
        self.batches.append(len(x))
        return self.linear(x)


def measured(takes: Callable[[int], float], *batches: int, **options: Any) -> Calibration:
    machine = Machine(takes)
    problem = Problem(dataset="digits", model=lambda: machine)
    return calibrate(problem, batches or None, clock=lambda: machine.now_s, **options)


def saved(found: Calibration, folder: Path) -> Path:
    path = folder / "mine.toml"
    path.unlink(missing_ok=True)
    write(profile(found, ORIGIN), path)
    return path


@pytest.mark.parametrize(
    ("overhead_s", "sample_s"), [(0.0, 1e-6), (2e-4, 1e-6), (2e-4, 1e-2), (3.0, 1e-2)]
)
def test_a_machine_without_spread_is_found_exactly(overhead_s: float, sample_s: float) -> None:
    found = measured(lambda n: overhead_s + sample_s * n, 1, 8, 64, repeats=8)
    assert found.overhead_s == pytest.approx(overhead_s, rel=1e-9, abs=1e-9 * sample_s)
    assert found.speed_sps == pytest.approx(1 / sample_s, rel=1e-9)
    assert found.errors() == pytest.approx([0, 0, 0], abs=1e-9)
    assert (found.sigma, found.mean_factor) == pytest.approx((0, 1), abs=1e-9)
    assert [len(row.seconds) for row in found.timed] == [8, 8, 8]
    assert (found.parameters, found.samples) == (650, 1437)


def test_a_noisy_machine_has_the_mean_and_the_spread_that_it_has() -> None:
    noise, sigma = np.random.default_rng(0), 0.3

    def seconds(n: int) -> float:
        return (1e-3 + 1e-4 * n) * exp(noise.normal(-(sigma**2) / 2, sigma))

    found = measured(seconds, 1, 8, 32, 128, repeats=1000)
    # Of 4,000 steps; the means of the four are fitted by two numbers.
    assert found.sigma == pytest.approx(sigma, abs=4 * sigma / sqrt(2 * 4000))
    for n in (1, 32, 128):
        # The line's medians, whose errors are sqrt(pi / 2) as large as those of means.
        assert found.mean_s(n) == pytest.approx(1e-3 + 1e-4 * n, rel=4 * 1.25 * 0.3 / sqrt(1000))
    assert found.mean_factor == pytest.approx(exp(sigma**2 / 2), rel=4 * 0.3 / sqrt(4000) + 0.01)


def test_a_drift_hits_all_batch_sizes_alike() -> None:
    slower = iter(np.linspace(1, 2, 100_000))
    found = measured(lambda n: (1e-3 + 1e-5 * n) * next(slower), 1, 16, 64, 256, repeats=400)
    share = found.overhead_s * found.speed_sps
    assert share == pytest.approx(100, rel=0.01)
    assert max(map(abs, found.errors())) < 0.01


def test_a_stall_leaves_the_line_alone_and_counts_in_the_mean() -> None:
    calls = iter(range(10**6))
    found = measured(lambda n: 1e-3 * n * (1 if next(calls) % 47 else 11), 1, 4, repeats=1000)
    assert found.median_s(4) == pytest.approx(4e-3, rel=1e-9)
    assert found.mean_s(4) == pytest.approx(4e-3 * (1 + 10 / 47), rel=0.05)


def test_the_order_is_drawn_and_the_seed_decides_it() -> None:
    def order(seed: int) -> list[int]:
        machine = Machine(lambda n: 1.0 + n)
        problem = Problem(dataset="digits", model=lambda: machine)
        calibrate(problem, [1, 2, 3], repeats=40, seed=seed, clock=lambda: machine.now_s)
        return machine.batches

    assert order(0) == order(0) != order(1)
    # Turns of five: one untimed, four timed.
    turns = order(0)[15:][::5]
    assert sorted(turns) == sorted([1, 2, 3] * 10)
    assert turns != [1, 2, 3] * 10


def test_it_goes_on_for_the_time_given_but_not_with_too_few_steps() -> None:
    found = measured(lambda n: 0.005 if n == 1 else 0.015, 1, 9, seconds=4.0)
    # A round is 5 steps of 5 ms and 5 of 15 ms, of which 4 are timed.
    assert len(found.timed[0].seconds) in (160, 164)
    found = measured(lambda n: 100.0 + n, 1, 9, seconds=4.0)
    assert [len(row.seconds) for row in found.timed] == [8, 8]


def test_relative_errors_are_what_is_small() -> None:
    """With no overhead wanted, the closed form of one number: sum (n/m) / sum (n/m)^2."""
    timed = [Timed(n, np.array([n**1.5])) for n in (1, 4, 64)]
    ratios = np.array([n / n**1.5 for n in (1, 4, 64)])
    overhead_s, sample_s = fitted_line(timed)
    assert overhead_s == 0
    assert sample_s == pytest.approx(ratios.sum() / (ratios**2).sum())


def test_default_batches_surround_those_in_use_as_far_as_there_are_data() -> None:
    assert default_batches([], 10_000) == list(LADDER)
    assert default_batches([20, 20.0], 10_000) == [5, 10, 20, 40, 80]
    assert default_batches([20, 50], 10_000) == [5, 10, 20, 40, 50, 80, 160, 320]
    assert default_batches([20], 50) == [5, 10, 20, 40, 50]
    assert default_batches([1], 50) == [1, 2, 4]
    assert default_batches([0.2], 1) == [1]


def test_the_line_fits_best_where_it_is_used() -> None:
    times = {1: 1.0, 2: 3.0, 4: 4.0, 8: 5.0}  # bent as a convolution's
    timed = [Timed(n, np.array([seconds])) for n, seconds in times.items()]

    def off(n: int, *used: int) -> float:
        overhead_s, sample_s = fitted_line(timed, used)
        return abs((overhead_s + n * sample_s) / times[n] - 1)

    for n in times:
        assert off(n, n) < 0.6 * off(n)


@pytest.mark.parametrize(
    ("batches", "options", "message"),
    [
        ([4], {}, "--batches = 4: must be two batch sizes or more"),
        ([4, 4], {}, "--batches = 4,4: must be two"),
        ([0, 4], {}, "--batches = 0,4: must be two batch sizes or more, positive"),
        ([1, 4], {"repeats": 7}, "--repeats = 7: must be at least 8"),
        ([1, 4], {"seconds": 0.0}, "--seconds = 0: must be positive and finite"),
        ([1, 4], {"seconds": float("nan")}, "--seconds = nan: must be positive"),
        ([1, 4], {}, "--batches = 1,4: a step's time doesn't grow with the batch"),
    ],
)
def test_bad_arguments(batches: Sequence[int], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError) as error:
        measured(lambda n: 1.0, *batches, **{"repeats": 8, **options})
    assert str(error.value).startswith(message)


def test_the_profile_is_hardware_of_mean_factor_one(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    found = measured(lambda n: (1e-3 + 1e-4 * n) * exp(noise.normal(0, 0.2)), 1, 8, 64, repeats=100)
    hardware = Hardware(file=str(saved(found, tmp_path))).resolved()
    for batch in (1, 20, 300):
        assert hardware.timing(None).seconds(batch) == pytest.approx(found.mean_s(batch), rel=1e-5)
    assert hardware.stragglers.mean_slowdown() == pytest.approx(1, rel=1e-5)
    assert hardware.stragglers.sigma == pytest.approx(found.sigma, rel=1e-5)
    assert hardware.name == "A machine"
    text = (tmp_path / "mine.toml").read_text(encoding="utf-8")
    for shown in ("A machine, 1 thread", "2025-11-25", "torch 2.9", "650 parameters", "batch 64"):
        assert shown in text
    assert "desim calibrate quickstart" in text


def test_a_machine_without_spread_overrides_the_clusters_stragglers(tmp_path: Path) -> None:
    found = measured(lambda n: 0.5 + 0.25 * n, 1, 8, 64, repeats=8)
    path = saved(found, tmp_path)
    assert Hardware(file=str(path)).resolved().stragglers == NoStragglers()
    trial = simulate(
        setting(
            {"kind": "async-dsgd", "batch": 6},
            hardware={"file": str(path)},
            stragglers={"kind": "uniform-speed", "low": 10.0, "high": 90.0},
            stop={"rounds": 10},
        )
    )
    assert trial.outcome.time_s == pytest.approx(20.0, rel=1e-6)


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("speed_sps = 1.0\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match=r"mine.toml: is there already, and must be a new file"):
        write("speed_sps = 2.0\n", path)
    assert path.read_text(encoding="utf-8") == "speed_sps = 1.0\n"
    with pytest.raises(ScenarioError, match="must be a file that can be written"):
        write("speed_sps = 2.0\n", path / "below.toml")


def test_whatever_is_in_a_name_the_profile_stays_toml(tmp_path: Path) -> None:
    found = measured(lambda n: 0.5 + 0.25 * n, 1, 8, repeats=8)
    odd = Origin('a "quoted" \\ name\nspeed_sps = 7\x1b', "day", "1", "m\nx", "d\x00", "c\r\nx = 1")
    path = tmp_path / "odd.toml"
    write(profile(found, odd), path)
    hardware = Hardware(file=str(path)).resolved()
    assert (hardware.name, hardware.speed_sps) == (odd.machine, pytest.approx(4.0))


def images() -> Problem:
    """A residual network for 200 random pictures of 16 x 16."""
    noise = np.random.default_rng(0)
    x = noise.normal(size=(200, 1, 16, 16)).astype(np.float32)
    y = noise.integers(0, 10, 200)
    return Problem(dataset=Data(x, y, x[:0], y[:0]), model={"kind": "resnet", "channels": 8})


def digits(*hidden: int) -> Problem:
    values = {"problem.model": {"kind": "mlp", "hidden": list(hidden)}} if hidden else {}
    return read("quickstart").with_values(values).problem


def loop_s(problem: Problem, batch: int, for_s: float) -> float:
    """Mean seconds of a step of the loop that anybody would write."""
    data = problem.dataset.load()
    x, y = torch.as_tensor(data.train_x, dtype=torch.float32), torch.as_tensor(data.train_y)
    model = problem.model.build(problem.dataset.shape())
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, weight_decay=problem.l2)
    order = list(range(len(y)))
    start_s, steps = 0.0, -10
    while steps <= 0 or time.perf_counter() < start_s + for_s:
        if steps == 0:
            start_s = time.perf_counter()
        index = torch.tensor(random.choices(order, k=batch))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[index]), y[index]).backward()
        optimizer.step()
        steps += 1
    return (time.perf_counter() - start_s) / steps


def predicted_s(found: Calibration, folder: Path, problem: Problem, batch: int) -> float:
    """Mean seconds of a step of workers that wait for nobody, on links that take no time."""
    rounds = 500
    trial = setting(
        {"kind": "async-dsgd", "batch": batch},
        hardware={"file": str(saved(found, folder))},
        stop={"rounds": rounds},
        problem=problem,
    )
    return simulate(trial).outcome.time_s / rounds


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 20, 100])
@pytest.mark.parametrize(
    "problem",
    [digits, lambda: digits(784), images],
    ids=["quickstart", "784 hidden units", "resnet"],
)
def test_this_machines_own_time_is_predicted(
    tmp_path: Path, problem: Callable[[], Problem], batch: int
) -> None:
    """Within 15 %; loop and calibration take turns, so that a busy minute hits both."""
    off = []
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(3):
            took_s, guesses_s = [], []
            for _ in range(4):
                found = calibrate(problem(), used=[batch], seconds=0.7)
                guesses_s.append(predicted_s(found, tmp_path, problem(), batch))
                took_s.append(loop_s(problem(), batch, 0.5))
            off.append(sum(guesses_s) / sum(took_s) - 1)
            print(f"{batch = }: took {1e3 * sum(took_s) / 4:.4g} ms, predicted {off[-1]:+.1%}")
            if abs(off[-1]) < 0.15:
                return
    finally:
        torch.set_num_threads(before)
    pytest.fail(f"the predictions are off by {[f'{share:+.0%}' for share in off]}")
