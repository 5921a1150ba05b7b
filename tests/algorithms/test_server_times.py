"""How long methods with a server take: closed forms, and three workers by hand."""

from dataclasses import replace

import pytest
from builders import problem, setting, simulate, speeds

from desim.clock.hardware import Hardware
from desim.errors import ScenarioError

FOUR = problem(parameters=4)
BITS = 4 * 32
COMPUTE_S, LATENCY_S = 2.0, 0.25
UP_BPS, DOWN_BPS = 64.0, 32.0  # the server's: a gradient takes 4 s alone, a model 2 s


def with_server(given, **bandwidths):
    server = Hardware(speed_sps=1.0, **bandwidths)
    return replace(given, cluster=given.cluster.model_copy(update={"server": server}))


@pytest.mark.parametrize(
    ("link", "up_copies", "down_copies"),
    [
        # Every link has the server's bandwidth to itself.
        ({"kind": "dedicated"}, 1, 1),
        # Models leave the server's card one after another; what comes in doesn't queue.
        ({"kind": "fifo"}, 1, 5),
        # Incast: five gradients share the server's down link, five models its up link.
        ({"kind": "fair"}, 5, 5),
    ],
    ids=str,
)
def test_a_synchronous_round_on_each_kind_of_link(link, up_copies, down_copies):
    link |= {"bandwidth_bps": 1e9 if link["kind"] != "fair" else float("inf")}
    given = setting(
        {"kind": "sync-sgd", "batch": 2},
        workers=5,
        link=link | {"latency_s": LATENCY_S},
        problem=FOUR,
        stop={"rounds": 4},
    )
    outcome = simulate(with_server(given, up_bps=UP_BPS, down_bps=DOWN_BPS)).outcome
    round_s = COMPUTE_S + 2 * LATENCY_S
    round_s += up_copies * BITS / DOWN_BPS + down_copies * BITS / UP_BPS
    assert outcome.time_s == pytest.approx(4 * round_s, rel=1e-6)


def run(method, *times_s, **stop):
    given = setting(
        method | {"batch": 1},
        workers=len(times_s),
        stragglers=speeds(*(1 / t for t in times_s)),
        stop=stop,
        problem=FOUR,
    )
    return simulate(given)


def test_one_of_three_is_a_backup():
    # Steps every 2 s, with workers 0 and 1; worker 2 is always late, and isn't interrupted.
    trial = run({"kind": "sync-sgd", "backups": 1}, 1, 2, 4, time_s=9)
    assert trial.spans("compute", 0) == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    assert trial.spans("wait", 0) == [(1, 2), (3, 4), (5, 6), (7, 8)]
    assert trial.spans("compute", 1)[:4] == [(0, 2), (2, 4), (4, 6), (6, 8)]
    assert trial.spans("compute", 2)[:2] == [(0, 4), (4, 8)]
    assert trial.simulation.server.steps == 4


def test_the_first_three_batches_count_and_the_rest_is_cancelled():
    # Two of worker 0 and one of worker 1 every 2 s; worker 2 never ends any.
    trial = run({"kind": "k-batch-sync", "batches": 3}, 1, 2, 4, time_s=5)
    assert trial.spans("compute", 0) == [(k, k + 1) for k in range(5)]
    assert trial.spans("compute", 1)[:2] == [(0, 2), (2, 4)]
    assert trial.spans("compute", 2)[:2] == [(0, 2), (2, 4)]
    assert trial.simulation.workers[2].samples == 0
    assert trial.simulation.server.steps == 2
    # Each step gives everyone a model, and that is a local step.
    assert [worker.steps for worker in trial.simulation.workers] == [2, 2, 2]


def test_k_batches_of_memoryless_workers_take_k_nths_of_their_mean():
    # E[T] = K E[1/V] / n, since what is cancelled would have taken as long as a new one; the
    # tolerance is three standard errors of 1,000 steps.
    given = setting(
        {"kind": "k-batch-sync", "batch": 1, "batches": 4},
        workers=4,
        stragglers={"kind": "exponential", "mean": 1.0},
        stop={"rounds": 1000},
    )
    trial = simulate(given)
    assert trial.outcome.time_s / 1000 == pytest.approx(1.0, rel=3 * 0.5 / 1000**0.5)


def test_rennala_computes_on_and_is_told_that_nothing_is_new():
    trial = run({"kind": "rennala-sgd", "batches": 2}, 1, 3, time_s=6.5)
    assert trial.simulation.server.steps == 3  # at 2, 4 and 6 s
    assert trial.spans("compute", 0)[:6] == [(k, k + 1) for k in range(6)]
    assert trial.spans("compute", 1)[:2] == [(0, 3), (3, 6)]
    answers = trial.rows("receive", 0)
    assert answers.bits.tolist() == [32, BITS] * 3
    assert [worker.steps for worker in trial.simulation.workers] == [3, 2]


def test_ringmaster_discards_old_gradients_or_stops_them():
    for stop, spans in (
        (False, [(0, 10), (10, 20)]),
        (True, [(k, k + 3) for k in range(0, 21, 3)]),
    ):
        method = {"kind": "ringmaster-asgd", "delay_limit": 3, "stop": stop}
        trial = run(method, 1, 10, time_s=21.5)
        assert trial.spans("compute", 1)[: len(spans)] == spans
        assert trial.simulation.server.steps == 21  # all of worker 0


def test_ssp_keeps_clocks_within_the_staleness():
    trial = run({"kind": "ssp", "staleness": 1}, 1, 3, time_s=10)
    assert trial.spans("compute", 0) == [(0, 1), (1, 2), (3, 4), (6, 7), (9, 10)]
    assert trial.spans("compute", 1) == [(0, 3), (3, 6), (6, 9)]


def test_gradients_and_models_have_compressors_of_their_own():
    given = setting(
        {
            "kind": "async-sgd",
            "batch": 1,
            "compressor": {"kind": "none", "bits": 16},
            "model_compressor": {"kind": "none", "bits": 64},
        },
        problem=FOUR,
    )
    received = simulate(given).rows("receive")
    assert set(received[received.worker == 3].bits) == {4 * 16}
    assert set(received[received.worker < 3].bits) == {4 * 64}


def test_stopping_needs_a_limit():
    with pytest.raises(ValueError, match="stop = true: needs delay_limit"):
        setting({"kind": "ringmaster-asgd", "batch": 1, "stop": True})


def test_a_step_needs_a_gradient():
    given = setting({"kind": "sync-sgd", "batch": 1, "backups": 3})
    for refuse in (lambda: given.algorithm.check(given.fleet(None)), lambda: simulate(given)):
        with pytest.raises(ScenarioError, match=r"sync-sgd\.backups = 3: must be less than the n"):
            refuse()
    assert setting({"kind": "sync-sgd", "batch": 1, "backups": 1}).algorithm.details(
        given.fleet(None)
    ) == {"gradients per step": 2}
