"""What the tape doesn't do: compute what nobody holds, keep rows, make many small calls."""

from collections import Counter

import numpy as np
import pytest
import torch
from builders import problem, setting

from desim.algorithms.base import Algorithm
from desim.engine.simulation import Simulation
from desim.streams import Streams
from desim.tensors.compressors.low_precision import LowPrecision
from desim.tensors.kernels import kernels
from desim.tensors.refs import Draw
from desim.tensors.samples import Sampler
from desim.tensors.tape import Tape
from desim.worker.protocol import Waiting, Worker

CPU = torch.device("cpu")
ASYNC = {"kind": "async-dsgd", "batch": 2}
DSGD = {"kind": "dsgd", "batch": 2}
RANDOM = {"kind": "uniform-speed", "low": 10.0, "high": 90.0}
LINK = {"kind": "dedicated", "bandwidth_bps": 4000.0, "latency_s": 0.01}


class Counting:
    """Kernels that count calls and operations."""

    def __init__(self, kernels):
        self._kernels, self.store = kernels, kernels.store
        self.calls, self.operations = Counter(), Counter()

    def __getattr__(self, name):
        def call(nodes):
            self.calls[name] += 1
            self.operations[name] += len(nodes)
            getattr(self._kernels, name)(nodes)

        return call


def tape(limit=1000, workers=4, **options):
    streams = Streams(0)
    task = problem(samples=40, dtype="float64").task(workers, streams, CPU)
    sampler = Sampler(streams, task.shards, "replacement")
    counting = Counting(kernels(task, workers, streams, sampler, CPU, one_by_one=False))
    return Tape(counting, limit, **options), counting


def values(tape, ref):
    node = tape.record(ref, 0)
    tape.flush()
    return tape.kernels.store.data[node.row].clone()


def test_nothing_is_computed_before_it_is_needed():
    recorder, counting = tape()
    x = recorder.constant(torch.ones(4).double())
    g = recorder.gradient(x, 0, 0, 0, 5)
    y = recorder.map(LowPrecision(levels=3), [x - 0.1 * g], Draw("dither", 0, 0))
    assert not counting.calls
    values(recorder, y)
    assert counting.operations == {"gradients": 1, "combinations": 1, "maps": 1}


def test_what_nobody_holds_any_more_is_never_computed():
    recorder, counting = tape()
    x = recorder.constant(torch.ones(4).double())
    kept = recorder.gradient(x, 0, 0, 0, 5)
    thrown_away = recorder.gradient(x, 1, 0, 0, 5)
    depends_on_it = recorder.map(LowPrecision(levels=3), [thrown_away], Draw("dither", 1, 0))
    del thrown_away, depends_on_it
    recorder.flush()
    assert counting.operations == {"gradients": 1}
    assert recorder.record(kept, 0).row >= 0


def test_what_a_held_operation_needs_is_computed_though_nobody_else_holds_it():
    recorder, counting = tape()
    x = recorder.constant(torch.ones(4).double())
    for step in range(3):
        x = x - 0.1 * recorder.gradient(x, 0, step, 0, 5)
    values(recorder, x)
    assert counting.operations == {"gradients": 3, "combinations": 3}


def test_a_sum_without_terms_is_zero():
    recorder, _ = tape()
    x = recorder.constant(torch.ones(4).double())
    nothing = recorder.gradient(x, 0, 0, 0, 0)
    assert values(recorder, nothing).tolist() == [0] * 4
    assert values(recorder, 2 * x - 0.5 * nothing).tolist() == [2] * 4
    assert values(recorder, x - x).tolist() == [0] * 4


def test_refs_are_linear_combinations():
    recorder, _ = tape()
    a, b = (
        recorder.constant(torch.tensor(row).double()) for row in ([1.0, 2, 3, 4], [8.0, 0, 8, 0])
    )
    assert values(recorder, -(a + 2 * b - a / 4) / 2 + b * 3).tolist() == [
        15.625,
        -0.75,
        14.875,
        -1.5,
    ]
    # Recording a ref changes how it is written, not what it is.
    c = a + b
    assert recorder.record(c, 0) is recorder.record(c, 0)
    assert values(recorder, c - a).tolist() == [8, 0, 8, 0]


def test_the_tape_is_evaluated_when_it_is_full():
    recorder, counting = tape(limit=3)
    x = recorder.constant(torch.ones(4).double())
    held = [recorder.gradient(x, i, 0, 0, 5) for i in range(2)]
    assert not counting.calls
    held.append(recorder.gradient(x, 2, 0, 0, 5))
    assert (counting.calls["gradients"], counting.operations["gradients"]) == (1, 3)


def test_one_by_one_computes_when_recorded():
    recorder, counting = tape(one_by_one=True)
    x = recorder.constant(torch.ones(4).double())
    recorder.gradient(x, 0, 0, 0, 5)
    assert counting.calls == {"gradients": 1}


def test_gradients_pile_up_until_nothing_else_is_ready():
    recorder, counting = tape()
    x = recorder.constant(torch.ones(4).double())
    # Workers at different depths: worker 0 has done two maps more before its gradient.
    y = x
    for step in range(2):
        y = recorder.map(LowPrecision(levels=3), [y], Draw("dither", 0, step))
    held = [recorder.gradient(y, 0, 0, 0, 5), recorder.gradient(x, 1, 0, 0, 5)]
    recorder.flush()
    assert (counting.calls["gradients"], counting.operations["gradients"]) == (1, 2)
    assert all(recorder.record(ref, 0).row >= 0 for ref in held)


def test_rows_are_given_back_when_refs_die():
    recorder, counting = tape()
    x = recorder.constant(torch.ones(4).double())
    assert counting.store.live == 1
    for step in range(5):
        x = x - 0.1 * recorder.gradient(x, 0, step, 0, 5)
    recorder.record(x, 0)
    recorder.flush()
    assert counting.store.live == 1
    del x
    assert counting.store.live == 0


class Wasteful(Algorithm):
    """Computes two gradients a step and throws one away."""

    def worker(self, me: Worker) -> Waiting:
        x = me.initial_model()
        while True:
            g = yield from me.compute(x, 2)
            yield from me.compute(x, 2)
            x = x - 0.1 * g
            me.commit(x)


def counted(method, rounds, workers=10, **options):
    simulation = Simulation(
        setting(
            method,
            workers=workers,
            topology={"kind": "random-regular", "degree": 3},
            stragglers=RANDOM,
            link=LINK,
            stop={"rounds": rounds},
            problem=problem(dtype="float64"),
            **options,
        )
    )
    simulation.tape.kernels = counting = Counting(simulation.tape.kernels)
    outcome = simulation.run()
    return counting, outcome


def test_a_gradient_that_a_method_throws_away_costs_nothing():
    counting, outcome = counted(Wasteful(step_size={"kind": "constant", "alpha": 1.0}), rounds=20)
    # 400 were asked for. The tape is evaluated every 40; those under way just then are computed.
    assert outcome.rows[-1].steps == 200
    assert 200 <= counting.operations["gradients"] <= 200 + 10 * (400 / 40 + 1)


def test_synchronous_workers_need_one_gradient_call_a_round():
    counting, _ = counted(DSGD, rounds=40)
    # At the last step some workers have asked for their next gradient already.
    assert 400 <= counting.operations["gradients"] < 410
    assert counting.calls["gradients"] in (40, 41)
    assert counting.calls["combinations"] <= 41


def test_asynchronous_workers_share_calls_though_no_two_are_at_the_same_depth():
    counting, _ = counted(ASYNC, rounds=40, workers=20)
    assert counting.operations["gradients"] >= 780
    assert counting.calls["gradients"] <= counting.operations["gradients"] / 5


@pytest.mark.parametrize(
    "method",
    [
        DSGD,
        DSGD | {"barrier": "neighbors", "compressor": {"kind": "low-precision", "levels": 3}},
        {"kind": "quantimed-dsgd", "deadline_s": 0.1},
        ASYNC,
        ASYNC | {"sending": "overlapped"},
    ],
    ids=str,
)
def test_live_rows_do_not_grow_with_simulated_time(method):
    _, short = counted(method, rounds=20)
    _, long = counted(method, rounds=200)
    assert 0 < long.peak_rows <= 1.3 * short.peak_rows + 5


def test_a_tape_that_is_never_needed_still_bounds_its_memory():
    # No evaluation for 200 rounds: without a limit all 2,000 gradients would be alive at once.
    counting, outcome = counted(ASYNC, rounds=200)
    assert outcome.peak_rows < 200
    assert counting.store.live < 60


@pytest.mark.parametrize("method", [DSGD, ASYNC], ids=lambda m: m["kind"])
def test_when_evaluations_happen_changes_no_number(method):
    often, seldom = (
        counted(method, rounds=12, evaluate={"every_rounds": every})[1].rows for every in (1, 6)
    )
    by_time = {row.time_s: row["train_loss"] for row in often}
    for row in seldom:
        np.testing.assert_allclose(row["train_loss"], by_time[row.time_s], rtol=1e-13)
