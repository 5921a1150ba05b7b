"""Worker-gradients per second of every method, against the plain loop over modules.

    pytest -o addopts= -s tests/benchmarks/test_every_method.py

Each registered algorithm with its first example, in batches of 20, beside the loop that
test_gradients_per_second.py measures (50 modules, autograd, quantized models, one addition per
neighbour and tensor). Contestants take turns; what is compared are medians of processor time per
gradient.
"""

import time
from typing import Any

import numpy as np
import pytest
from contestants import PlainLoop
from pytest_benchmark.fixture import BenchmarkFixture
from race import BATCH, ROUNDING, WORKERS, ByHand, by_hand_work, setting
from rich.console import Console
from rich.table import Table

from desim.engine.simulation import Simulation
from desim.schema.registry import members

#: Local steps per worker; those of the first quarter, which touch fresh memory, aren't timed.
ROUNDS = 24


def tables() -> dict[str, dict[str, Any]]:
    """Every algorithm's table: its first example with this benchmark's batch and compressor."""
    found = {}
    for kind, member in members("algorithms").items():
        table = {"kind": kind, **member.examples[0]}
        if "batch" in table:
            table["batch"] = BATCH
        if member.model_fields.get("compressor") and "compressor" not in table:
            needed = member.model_fields["compressor"].is_required()
            table |= {"compressor": ROUNDING} if needed else {}
        found[kind] = table
    return found


class Method:
    """A trial of one algorithm; gives seconds per gradient, one number for each quarter of it."""

    def __init__(self, features: int, table: dict[str, Any]) -> None:
        self._setting = setting(features, table, ROUNDS)

    def __call__(self) -> list[float]:
        stamps: list[tuple[float, int]] = []

        def progress(_share: float) -> None:
            samples = sum(worker.samples for worker in simulation.workers)
            stamps.append((time.process_time(), samples))

        simulation = Simulation(self._setting, timeline=lambda _columns: None, progress=progress)
        simulation.run()
        quarters = np.array(stamps[:-2])[:: max(1, len(stamps) // 4)]
        seconds, samples = np.diff(quarters[1:], axis=0).T
        batch = getattr(self._setting.algorithm, "batch", BATCH)
        return (seconds / (samples / batch)).tolist()


@pytest.mark.parametrize("features", [784, 64])
def test_no_method_is_slower_than_the_loop_over_modules(
    benchmark: BenchmarkFixture, features: int
) -> None:
    loop = ByHand(PlainLoop(by_hand_work(features)), 4)
    methods = {kind: Method(features, table) for kind, table in tables().items()}
    per_gradient: dict[str, list[float]] = {kind: [] for kind in ["loop", *methods]}

    def lap() -> None:
        for kind, method in methods.items():
            per_gradient["loop"] += [seconds / WORKERS for seconds in loop()]
            per_gradient[kind] += method()

    benchmark.pedantic(lap, rounds=2)
    rates = {kind: 1 / float(np.median(times)) for kind, times in per_gradient.items()}
    table = Table(title=f"{features}-50-10, {WORKERS} workers", title_justify="left")
    for column in ("", "gradients/s", "x loop"):
        table.add_column(column, justify="left" if not column else "right")
    for kind, rate in sorted(rates.items(), key=lambda pair: -pair[1]):
        table.add_row(kind, f"{rate:,.0f}", f"{rate / rates['loop']:.2f}")
    Console(width=100).print(table)
    benchmark.extra_info |= rates
    slower = [kind for kind, rate in rates.items() if rate < rates["loop"]]
    assert not slower
