"""Crashes and losses cost methods with a server time; no gradient counts twice, or is another's."""

import numpy as np
import pytest
from builders import problem, setting, simulate, speeds

N = 4
CRASHES = {"workers": {"mean_up_s": 6.0, "mean_down_s": 2.0}}
LOSSES = {"kind": "dedicated", "bandwidth_bps": 2e3, "latency_s": 0.05, "resend_after_s": 0.2}
SAMPLED = problem(samples=50 * N, parameters=3, dtype="float64")
ONE_POINT = problem(
    dataset={"kind": "quadratic", "samples": N, "dimension": 3, "spread": 0.0}, dtype="float64"
)


def run(method, *, given=ONE_POINT, loss=0.0, train=True, **changes):
    fields = {"workers": N, "stragglers": speeds(8, 5, 4, 1), "link": LOSSES | {"loss": loss}}
    fields |= {"stop": {"rounds": 60}, "seed": 5, "problem": given}
    return simulate(setting({"batch": 1} | method, **(fields | changes)), train=train)


def server_model(trial):
    node = trial.simulation.tape.record(trial.simulation.server.model, N)
    trial.simulation.tape.flush()
    return trial.simulation.tape.kernels.store.data[node.row].numpy()


@pytest.mark.parametrize(
    "method",
    [
        {"kind": "sync-sgd"},
        {"kind": "sync-sgd", "compressor": {"kind": "low-precision", "levels": 7}},
        {"kind": "sync-sgd", "optimizer": {"momentum": 0.5}},
    ],
    ids=str,
)
def test_synchronous_models_are_the_same_with_crashes_and_losses(method):
    smooth = run(method, given=SAMPLED)
    rough = run(method, given=SAMPLED, loss=0.2, faults=CRASHES)
    assert rough.outcome.stopped_by == "rounds"
    assert rough.outcome.time_s > 1.2 * smooth.outcome.time_s
    assert len(rough.rows("down")) > 10
    np.testing.assert_allclose(server_model(rough), server_model(smooth), rtol=0, atol=1e-12)


METHODS = [
    {"kind": "sync-sgd", "backups": 1},
    {"kind": "k-batch-sync", "batches": 6},
    {"kind": "rennala-sgd", "batches": 6},
    {"kind": "malenia-sgd", "batches": 6},
    {"kind": "ringmaster-asgd", "delay_limit": 3},
    {"kind": "ringmaster-asgd", "delay_limit": 3, "stop": True},
    {"kind": "async-sgd"},
    {"kind": "ssp", "staleness": 2},
    {"kind": "fedbuff", "buffer": 3},
]


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_method_goes_on_through_crashes_and_losses(method):
    fields = {"given": ONE_POINT, "loss": 0.2, "faults": CRASHES, "stop": {"rounds": 120}}
    trial = run(method, **fields)
    assert trial.outcome.stopped_by == "rounds", trial.outcome.stalled
    np.testing.assert_allclose(server_model(trial), 1.0, atol=1e-4)


@pytest.mark.parametrize("method", METHODS[:6], ids=str)
def test_gradients_of_a_worker_that_has_lost_its_model_are_too_old(method):
    # At the initial model they would move the server's, which is at the optimum, by alpha / K:
    # a loss of 4e-4.
    crash = [{"worker": i, "down_s": 80.0 + i, "up_s": 81.5 + i} for i in range(N)]
    faults = {"workers": crash, "model": "reset"}
    trial = run(method, faults=faults, stop={"time_s": 95.0}, evaluate={"every_s": 1.0})
    losses = [row["train_loss"] for row in trial.outcome.rows if row.time_s >= 80]
    assert max(losses) < 1e-5
    assert all(worker.steps > 1 for worker in trial.simulation.workers)


def test_each_gradient_counts_once():
    """In async-sgd the server's steps are the workers' but for answers that are on their way."""
    method = {"kind": "async-sgd"}
    trial = run(method, loss=0.3, faults=CRASHES, stop={"rounds": 300}, train=False)
    steps = sum(worker.steps for worker in trial.simulation.workers)
    assert 0 <= trial.simulation.server.steps - steps <= N


@pytest.mark.parametrize("method", [METHODS[1], METHODS[5]], ids=str)
def test_a_worker_that_is_away_is_sent_one_model_and_not_all_that_it_has_missed(method):
    away = {"workers": [{"worker": 3, "down_s": 20.5, "up_s": 100.0}]}
    trial = run(method, faults=away, stop={"time_s": 140.0}, train=False)
    received = trial.rows("receive", 3)
    back = received[(received.end_s >= 100) & (received.start_s < 101)]
    assert trial.simulation.server.steps > 150
    assert 1 <= len(back) <= 5
    assert len(received[received.end_s > 101]) > 10


def test_an_answer_that_came_just_before_the_crash_is_not_lost():
    # Worker 0 sends at 1 s; the answer comes at 3 s, while it is away, and again at 5.2 s.
    link = {"kind": "dedicated", "bandwidth_bps": float("inf"), "latency_s": 1.0}
    link |= {"resend_after_s": 0.55}
    faults = {"workers": [{"worker": 0, "down_s": 2.5, "up_s": 5.0}]}
    fields = {"stragglers": speeds(1, 1, 1, 0.1), "link": link, "faults": faults}
    trial = run({"kind": "async-sgd"}, stop={"time_s": 9.9}, train=False, **fields)
    # It begins again at 5 s, and ends: the first answer isn't for the second request.
    spans = trial.spans("compute", 0)
    assert spans[:2] == [(0, 1), (5, 6)]
    gradients = trial.rows("receive", N)
    assert (gradients.peer == 0).sum() == 3
    assert trial.simulation.workers[0].steps == 2
