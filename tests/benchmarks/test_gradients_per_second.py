"""Worker-gradients per second, against the same training without a simulator.

Not part of the ordinary test run, since it takes two minutes and wants a quiet machine:

    pytest -o addopts= tests/benchmarks

50 workers with batches of 20 on an Erdos-Renyi graph (p = 0.4), one thread. Contestants take turns
within one run; what is compared are medians of processor time over four rounds each.
"""

import pytest
from contestants import LockStep, PlainLoop, TunedLockStep
from pytest_benchmark.fixture import BenchmarkFixture
from race import (
    BATCH,
    ROUNDING,
    WARM_UP,
    WORKERS,
    ByHand,
    Desim,
    NotAChain,
    Race,
    by_hand_work,
    setting,
    show,
)

Q_DSGD = {"kind": "q-dsgd", "batch": BATCH, "compressor": ROUNDING}
QUANTIMED = {"kind": "quantimed-dsgd", "expected_batch": float(BATCH), "compressor": ROUNDING}
ASYNC = {"kind": "async-dsgd", "batch": BATCH}

#: (contestant, yardstick, input features): how many times as fast it must be.
REQUIRED = {
    ("q-dsgd", "lock-step", 784): 0.8,
    ("q-dsgd", "lock-step", 64): 0.5,
    ("q-dsgd", "loop", 784): 2.5,
    ("q-dsgd", "loop", 64): 5.0,
    ("async-dsgd", "loop", 784): 2.0,
    ("async-dsgd", "loop", 64): 2.0,
}

MESSAGES_PER_SECOND = 400_000


@pytest.mark.parametrize(("features", "rounds"), [(784, 40), (64, 120)])
def test_training_against_loops_without_a_simulator(
    benchmark: BenchmarkFixture, features: int, rounds: int
) -> None:
    work = by_hand_work(features)
    length = WARM_UP + rounds
    race = Race(
        {
            "q-dsgd": Desim(setting(features, Q_DSGD, length)),
            "lock-step": ByHand(LockStep(work), rounds),
            "quantimed-dsgd": Desim(setting(features, QUANTIMED, length)),
            "tuned lock-step": ByHand(TunedLockStep(work), rounds),
            "async-dsgd": Desim(setting(features, ASYNC, length)),
            "loop": ByHand(PlainLoop(work), 4),
            "q-dsgd, vmap": Desim(setting(features, Q_DSGD, length, model=NotAChain(features))),
        }
    )
    benchmark.pedantic(race.lap, rounds=5, warmup_rounds=1)
    yardsticks = ["lock-step", "tuned lock-step", "loop"]
    show(f"{features}-50-10", race, yardsticks)
    benchmark.extra_info |= {name: race.median_ms(name) for name in race.times}
    for (name, yardstick, size), required in REQUIRED.items():
        if size == features:
            assert race.ratio(name, yardstick) >= required, f"{name} against {yardstick}"


def test_the_clock_alone(benchmark: BenchmarkFixture) -> None:
    turn = Desim(setting(64, Q_DSGD, 200), train=False)
    race = Race({"clock": turn})
    benchmark.pedantic(race.lap, rounds=5, warmup_rounds=1)
    messages = turn.messages_per_round / race.median_ms("clock") * 1e3
    print(f"clock alone: {messages:,.0f} messages/s, {WORKERS} workers")
    benchmark.extra_info["messages_per_second"] = messages
    assert messages >= MESSAGES_PER_SECOND


@pytest.mark.parametrize(
    "topology", ["ring", {"kind": "random-regular", "degree": 20}], ids=["ring", "degree 20"]
)
def test_a_thousand_workers(benchmark: BenchmarkFixture, topology: object) -> None:
    """For information: here the products of coefficients and rows are sparse."""
    turn = Desim(setting(784, Q_DSGD, WARM_UP + 10, workers=1000, topology=topology, samples=20))
    race = Race({"q-dsgd": turn})
    benchmark.pedantic(race.lap, rounds=1)
    benchmark.extra_info["ms_per_round"] = race.median_ms("q-dsgd")
    print(f"1,000 workers, {topology}: {race.median_ms('q-dsgd'):,.0f} ms a round")
