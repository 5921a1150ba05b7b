"""Whole runs on problems whose every number is known.

With one sample theta_i a worker the quadratic's gradient is h * (x_i - theta_i), whatever is drawn:
a method is then a recursion of matrices that numpy can follow.
"""

import numpy as np
import pytest
import torch
from builders import models, problem, setting, speeds

from desim.engine.simulation import Simulation
from desim.streams import Streams
from desim.tensors.problem import Problem

N, D, ALPHA, EPSILON = 6, 5, 0.3, 0.7
ONE_EACH = problem(
    samples=N,
    parameters=D,
    samples_per_worker=1,
    model={"kind": "quadratic", "condition": 10.0},
    dtype="float64",
)
STEP = {"step_size": {"kind": "constant", "alpha": ALPHA, "epsilon": EPSILON}}
CURVATURES = np.logspace(-1, 0, D)
#: Models arrive as they are; as 32-bit floats they would be rounded.
EXACT = {"compressor": {"kind": "none", "bits": 64}}
DSGD = {"kind": "dsgd", "batch": 3} | EXACT


def run(method, given=ONE_EACH, rounds=50, **changes):
    fields = {"workers": N, "topology": {"kind": "erdos-renyi", "p": 0.5}, "seed": 2}
    fields |= {"stop": {"rounds": rounds}, "evaluate": {"every_rounds": 10}}
    simulation = Simulation(setting(method | STEP, problem=given, **(fields | changes)))
    return simulation, simulation.run()


def thetas(simulation):
    """Each worker's sample, (workers, parameters)."""
    data = ONE_EACH.dataset.load().train_x
    shards = ONE_EACH.assign(ONE_EACH.dataset.load(), N, Streams(2))
    return data[np.concatenate(shards)]


def mixing(simulation):
    w = np.zeros((N, N))
    for worker in simulation.workers:
        w[worker.id, worker.id] = worker.own_weight
        w[worker.id, worker.neighbours] = worker.weights
    return w


@pytest.mark.parametrize("barrier", ["global", "neighbors"])
@pytest.mark.parametrize("method", [DSGD, {"kind": "quantimed-dsgd", "deadline_s": 2.0} | EXACT])
def test_synchronous_methods_follow_the_recursion(method, barrier):
    simulation, _ = run(method | {"barrier": barrier})
    w, theta, x = mixing(simulation), thetas(simulation), np.zeros((N, D))
    for _ in range(50):
        x = x + EPSILON * (w @ x - x) - ALPHA * EPSILON * CURVATURES * (x - theta)
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)


def test_neighbours_arrive_compressed_and_ones_own_model_does_not():
    # 16-bit floats are a compression that numpy has too.
    method = {"kind": "q-dsgd", "batch": 3, "compressor": {"kind": "none", "bits": 16}}
    simulation, _ = run(method)
    w, theta, x = mixing(simulation), thetas(simulation), np.zeros((N, D))
    own, others = np.diag(np.diag(w)), w - np.diag(np.diag(w))
    for _ in range(50):
        z = x.astype(np.float16).astype(float)
        x = x + EPSILON * (own @ x + others @ z - x) - ALPHA * EPSILON * CURVATURES * (x - theta)
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("visibility", ["received", "instant"])
def test_asynchronous_workers_mix_what_they_see(visibility):
    # Steps of sqrt(2), sqrt(3), ... seconds, so that no two things happen at once, and messages of
    # 0.25 s; a worker's next step begins when its message has arrived.
    step_s = np.sqrt([2, 3, 5, 7, 11, 13])
    link = {"kind": "dedicated", "bandwidth_bps": float("inf"), "latency_s": 0.25}
    method = {"kind": "async-dsgd", "batch": 1, "visibility": visibility} | EXACT
    simulation, _ = run(method, stragglers=speeds(*(1 / step_s)), link=link, stop={"time_s": 30.0})
    w, theta = mixing(simulation), thetas(simulation)
    x = np.zeros((N, D))
    history = [[(0.0, x[i].copy())] for i in range(N)]  # (handed over, model) of each worker
    ends = sorted(
        (k * (step_s[i] + 0.25), i) for i in range(N) for k in range(1, int(30 / step_s[i]) + 1)
    )
    late = 0.25 if visibility == "received" else 0.0
    for now, i in ends:
        if now > 30:
            break
        z = np.stack([[m for t, m in seen if not t or t + late < now][-1] for seen in history])
        z[i] = x[i]
        new = x[i] + EPSILON * (w[i] @ z - x[i]) - ALPHA * EPSILON * CURVATURES * (x[i] - theta[i])
        x[i] = new
        history[i].append((now, new))
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)


def test_dsgd_ends_at_its_fixed_point():
    # x = W x - alpha h (x - theta), coordinate by coordinate: epsilon cancels. The slowest mode
    # shrinks by about 1 - .7 * .3 * .1 a round: e^-21 after 1,000.
    simulation, _ = run(DSGD, rounds=1000)
    w, theta = mixing(simulation), thetas(simulation)
    fixed = np.stack(
        [
            np.linalg.solve(np.eye(N) - w + ALPHA * h * np.eye(N), ALPHA * h * theta[:, c])
            for c, h in enumerate(CURVATURES)
        ],
        axis=1,
    )
    np.testing.assert_allclose(models(simulation), fixed, rtol=0, atol=1e-8)


def test_measures_are_of_the_mean_model_on_all_data():
    simulation, outcome = run({"kind": "dsgd", "batch": 1})
    theta, x = thetas(simulation), models(simulation)
    mean, last = x.mean(0), outcome.rows[-1]
    loss = 0.5 * (CURVATURES * (mean - theta) ** 2).sum(1).mean()
    gradient = CURVATURES * (mean - theta.mean(0))
    assert last["train_loss"] == pytest.approx(loss, rel=1e-12)
    assert last["grad_norm_sq"] == pytest.approx((gradient**2).sum(), rel=1e-10)
    assert last["consensus_error"] == pytest.approx(((x - mean) ** 2).sum(1).mean(), rel=1e-10)
    first = outcome.rows[0]
    assert first["consensus_error"] == 0
    assert first["train_loss"] == pytest.approx(0.5 * (CURVATURES * theta**2).sum(1).mean())


def test_the_lowest_loss_is_that_at_the_mean_of_all_samples():
    # Equal shards on a complete graph: the mean model descends exactly to mean(theta).
    given = problem(samples=60, parameters=D, samples_per_worker=10, dtype="float64", l2=0.0)
    fields = {"topology": "complete", "mixing": "uniform", "problem": given, "workers": N}
    method = {"kind": "dsgd", "batch": 10}
    method |= {"step_size": {"kind": "constant", "alpha": 0.02}}
    simulation = Simulation(setting(method, **fields, stop={"rounds": 500}))
    outcome = simulation.run()
    points = given.dataset.load().train_x
    lowest = 0.5 * ((points - points.mean(0)) ** 2).sum(1).mean()
    losses = [row["train_loss"] for row in outcome.rows]
    assert losses[0] == pytest.approx(0.5 * (points**2).sum(1).mean(), rel=1e-12)
    assert min(losses) >= lowest - 1e-12
    # What began shrinks by (1 - .02)^2 a round: e^-20. What is left is sampling noise: the mean
    # gradient of 60 draws has a variance of 5 / 60, which leaves alpha / 4 of it: 4e-4; five times
    # that.
    assert losses[-1] - lowest < 2e-3


def test_the_ridge_moves_the_optimum_towards_zero():
    # (1/2)(x - theta)^2 + (l2/2) x^2 is lowest at mean(theta) / (1 + l2).
    given = problem(samples=N, parameters=D, samples_per_worker=1, dtype="float64", l2=1.0)
    fields = {"topology": "complete", "mixing": "uniform", "problem": given, "workers": N}
    simulation = Simulation(setting(DSGD, **fields, stop={"rounds": 150}))
    outcome = simulation.run()
    points = given.dataset.load().train_x
    best = points.mean(0) / 2
    np.testing.assert_allclose(models(simulation).mean(0), best, atol=1e-12)
    loss = 0.5 * ((points - best) ** 2).sum(1).mean() + 0.5 * (best**2).sum()
    assert outcome.rows[-1]["train_loss"] == pytest.approx(loss, rel=1e-12)


def test_logistic_regression_on_two_digits_starts_at_log_2_and_separates_them():
    pair = Problem(
        dataset={"kind": "digits", "classes": [3, 8]}, model="logistic", samples_per_worker=40
    )
    method = {"kind": "dsgd", "batch": 20, "step_size": {"kind": "constant", "alpha": 0.5}}
    outcome = Simulation(
        setting(method, workers=6, problem=pair, stop={"rounds": 150}, seed=1)
    ).run()
    first, last = outcome.rows[0], outcome.rows[-1]
    assert first["train_loss"] == pytest.approx(np.log(2), rel=1e-6)
    # At zero every output is 0, which means class 0: the share of threes among the test images.
    test_y = pair.dataset.load().test_y
    assert first["test_accuracy"] == pytest.approx((test_y == 0).mean())
    assert last["train_loss"] < 0.2
    assert last["test_accuracy"] > 0.9


def test_a_quantized_run_that_starts_at_zero_stays_finite():
    # Softmax regression starts at zero: the first message is the zero vector, in float32.
    given = Problem(dataset="digits", model="softmax", samples_per_worker=40)
    method = {"kind": "q-dsgd", "batch": 20, "compressor": {"kind": "low-precision", "levels": 255}}
    outcome = Simulation(setting(method, problem=given, stop={"rounds": 10})).run()
    assert outcome.stopped_by == "rounds"
    assert outcome.rows[-1]["train_loss"] < outcome.rows[0]["train_loss"]


def test_data_without_a_test_part_and_losses_without_classes_give_nan():
    _, outcome = run({"kind": "dsgd", "batch": 1}, rounds=1)
    measures = outcome.rows[-1]
    assert np.isnan(measures["test_loss"])
    assert np.isnan(measures["test_accuracy"])


def test_float32_follows_float64():
    # 50 rounds of rounding errors of 6e-8 relative, which averaging and descent contract.
    single = ONE_EACH.model_copy(update={"dtype": "float32"})
    method = {"kind": "dsgd", "batch": 3}
    one, other = (models(run(method, given)[0]) for given in (single, ONE_EACH))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
    assert torch.float32 == run(method, single, rounds=1)[0].tape.kernels.store.data.dtype
