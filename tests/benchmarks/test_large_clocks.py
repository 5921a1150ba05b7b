"""The clock alone, large: 100,000 workers of degree 4, ten rounds of QuanTimed-DSGD, one core.

    pytest -o addopts= -s tests/benchmarks/test_large_clocks.py

Processor time of the whole trial, the graph's building included; what a message costs is the
clock's running only, compared with 1,000 workers for as many rounds in the same run.
"""

import resource
import time
from statistics import median

from pytest_benchmark.fixture import BenchmarkFixture
from race import ROUNDING, setting

from desim.engine.simulation import Simulation

QUANTIMED = {"kind": "quantimed-dsgd", "expected_batch": 20.0, "compressor": ROUNDING}
MANY, FEW, ROUNDS, DEGREE = 100_000, 1_000, 10, 4

#: Seconds and GiB that the large trial may take, and how many times as much as with few workers a
#: message may cost.
MOST_S, MOST_GIB, MOST_TIMES = 60, 8, 2.0


def seconds(workers: int) -> tuple[float, float]:
    """Processor time to build a trial and to run it."""
    topology = {"kind": "random-regular", "degree": DEGREE}
    trial = setting(64, QUANTIMED, ROUNDS, workers=workers, topology=topology, samples=20)
    start = time.process_time()
    simulation = Simulation(trial, train=False)
    built = time.process_time()
    simulation.run()
    return built - start, time.process_time() - built


def test_a_hundred_thousand_workers(benchmark: BenchmarkFixture) -> None:
    few = median(seconds(FEW)[1] for _ in range(5)) / (FEW * DEGREE * ROUNDS)
    built, ran = benchmark.pedantic(lambda: seconds(MANY), rounds=1)
    many = ran / (MANY * DEGREE * ROUNDS)
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{MANY:,} workers: built in {built:.1f} s, {ROUNDS} rounds in {ran:.1f} s, {gib:.2f} GiB; "
        f"{many * 1e6:.1f} us a message, {few * 1e6:.1f} with {FEW:,}: {many / few:.2f} times"
    )
    benchmark.extra_info |= {"seconds": built + ran, "gib": gib, "times": many / few}
    assert built + ran < MOST_S
    assert gib < MOST_GIB
    assert many / few < MOST_TIMES
