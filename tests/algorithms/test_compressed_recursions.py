"""Methods with compression follow their papers' equations, with a replica of each model everywhere.

With one sample a worker the gradient is h (x_i - theta_i), whatever is drawn, and what compressors
do is looked up in them: a method is then a recursion that numpy can follow.
"""

import numpy as np
import pytest
import torch
from builders import models, problem, setting
from one_sample_each import mixing

from desim.engine.simulation import Simulation
from desim.streams import Streams
from desim.tensors.compressors.base import Compressor

N, D, ALPHA, ROUNDS = 6, 5, 0.2, 40
CURVATURES = np.logspace(-1, 0, D)
ONE_EACH = problem(
    samples=N,
    parameters=D,
    samples_per_worker=1,
    model={"kind": "quadratic", "condition": 10.0},
    dtype="float64",
)
EXACT = {"kind": "none", "bits": 64}
HALF = {"kind": "none", "bits": 16}
SIGN = {"kind": "sign"}


def run(method, *, epsilon=1.0, rounds=ROUNDS, **changes):
    step_size = {"kind": "constant", "alpha": ALPHA, "epsilon": epsilon}
    fields = {"workers": N, "topology": {"kind": "erdos-renyi", "p": 0.5}, "seed": 2}
    fields |= {"stop": {"rounds": rounds}, "problem": ONE_EACH}
    simulation = Simulation(
        setting({"batch": 1, "step_size": step_size} | method, **(fields | changes))
    )
    assert simulation.run().stopped_by == "rounds"
    return simulation


def gradients(x):
    data = ONE_EACH.dataset.load()
    theta = data.train_x[np.concatenate(ONE_EACH.assign(data, N, Streams(2)))]
    return CURVATURES * (x - theta)


def compressed(compressor, x):
    return Compressor.parse(compressor)(torch.from_numpy(x.copy()), uniform=None).numpy()


def everywhere(x):
    """What worker i has of worker j, (i, j, parameters)."""
    return np.stack([x] * N)


def averaged(w, held):
    """sum_j w_ij held_ij."""
    return np.einsum("ij,ijd->id", w, held)


def dcd(w, compressor, _):
    x = np.zeros((N, D))
    held = everywhere(x)
    for _ in range(ROUNDS):
        z = averaged(w, held) - ALPHA * gradients(x) - x
        change = compressed(compressor, z)
        x = x + change
        held = held + everywhere(change)
    return x


def ecd(w, compressor, _):
    x = np.zeros((N, D))
    held = everywhere(x)
    for t in range(1, ROUNDS + 1):
        new = averaged(w, held) - ALPHA * gradients(x)
        z = (1 - 0.5 * t) * x + 0.5 * t * new
        held = (1 - 2 / t) * held + 2 / t * everywhere(compressed(compressor, z))
        x = new
    return x


def choco(w, compressor, gamma):
    x = np.zeros((N, D))
    held = everywhere(x)
    for _ in range(ROUNDS):
        x = x - ALPHA * gradients(x)
        own = held[range(N), range(N)]
        held = held + everywhere(compressed(compressor, x - own))
        own = held[range(N), range(N)]
        x = x + gamma * averaged(w, held - own[:, None])
    return x


def deep_squeeze(w, compressor, eta):
    x, left_out = np.zeros((N, D)), np.zeros((N, D))
    for _ in range(ROUNDS):
        y = x - ALPHA * gradients(x)
        v = y + left_out
        sent = compressed(compressor, v)
        left_out = v - sent
        x = y + eta * (w - np.eye(N)) @ sent
    return x


@pytest.mark.parametrize(
    ("kind", "recursion", "compressor", "epsilon"),
    [
        ("dcd-psgd", dcd, HALF, 1.0),
        ("ecd-psgd", ecd, HALF, 1.0),
        ("choco-sgd", choco, HALF, 0.8),
        ("choco-sgd", choco, SIGN, 0.3),
        ("deep-squeeze", deep_squeeze, HALF, 0.8),
        ("deep-squeeze", deep_squeeze, SIGN, 0.05),
    ],
)
@pytest.mark.parametrize("barrier", ["global", "neighbors"])
def test_it_follows_the_paper_with_explicit_replicas(kind, recursion, compressor, epsilon, barrier):
    method = {"kind": kind, "compressor": compressor, "barrier": barrier}
    simulation = run(method, epsilon=epsilon)
    w = mixing(simulation)
    expected = recursion(w, compressor, epsilon)
    np.testing.assert_allclose(models(simulation), expected, rtol=0, atol=1e-12)
    assert abs(expected - recursion(w, EXACT, epsilon)).max() > 1e-9  # something was lost


def test_replicas_begin_with_zero_or_with_the_initial_model():
    # A model that doesn't begin at zero, and no gradient to speak of: CHOCO's replicas have to
    # learn it, the others know it.
    given = problem(
        samples=N,
        samples_per_worker=1,
        dataset="digits",
        model={"kind": "mlp", "hidden": [2]},
        dtype="float64",
    )
    for kind in ("dcd-psgd", "ecd-psgd", "choco-sgd"):
        method = {"kind": kind, "compressor": SIGN, "batch": 1}
        method["step_size"] = {"kind": "constant", "alpha": 1e-30}
        simulation = Simulation(setting(method, workers=N, problem=given, stop={"rounds": 1}))
        [worker, *_] = simulation.workers
        first = worker.model
        simulation.run()
        rows = [simulation.tape.record(ref, 0).row for ref in (first, worker.model)]
        before, after = simulation.tape.kernels.store.data[rows].numpy()
        assert abs(before).max() > 0.01
        # All workers' replicas are the same: averaging them changes nothing.
        np.testing.assert_allclose(after, before, rtol=0, atol=0.02 if kind == "dcd-psgd" else 1e-9)


@pytest.mark.parametrize(
    ("kind", "order"),
    [
        ("dcd-psgd", "combine-then-adapt"),
        ("ecd-psgd", "combine-then-adapt"),
        ("choco-sgd", "adapt-then-combine"),
        ("deep-squeeze", "adapt-then-combine"),
    ],
)
def test_without_compression_it_is_decentralized_sgd(kind, order):
    found = run({"kind": kind, "compressor": EXACT})
    expected = run({"kind": "dsgd", "order": order, "compressor": EXACT})
    np.testing.assert_allclose(models(found), models(expected), rtol=0, atol=1e-10)


def modulo(z, period):
    """z mod period in [-period / 2, period / 2)."""
    return (z + period / 2) % period - period / 2


def moniqua(w, theta, bits, slack, rounds=ROUNDS):
    """The models, and the largest difference between two neighbours that there was."""
    delta = 1 / 2 ** (bits + 1)
    period = 2 * theta / (1 - 2 * delta)
    x, widest = np.zeros((N, D)), 0.0
    for _ in range(rounds):
        q = modulo(np.round(x / period / (2 * delta)) * 2 * delta, 1.0)
        seen = modulo(period * q - x[:, None], period) + x[:, None]  # by i of j
        apart = seen - seen[range(N), range(N)][:, None]
        widest = max(widest, abs((x[:, None] - x)[w > 0]).max())
        x = x + slack * averaged(w, apart) - ALPHA * gradients(x)
    return x, widest


@pytest.mark.parametrize(
    ("theta", "bits", "slack", "holds"),
    [(4.0, 8, 1.0, True), (4.0, 1, 0.1, True), (0.3, 3, 1.0, False), (0.05, 16, 0.7, False)],
)
def test_moniqua_decodes_by_the_receivers_model_right_or_wrong(theta, bits, slack, holds):
    simulation = run({"kind": "moniqua", "theta": theta, "bits": bits}, epsilon=slack)
    expected, widest = moniqua(mixing(simulation), theta, bits, slack)
    np.testing.assert_allclose(models(simulation), expected, rtol=0, atol=1e-11)
    assert (widest < theta) == holds


@pytest.mark.parametrize(
    ("method", "epsilon"),
    [
        ({"kind": "choco-sgd", "compressor": SIGN}, 0.3),
        ({"kind": "deep-squeeze", "compressor": SIGN}, 0.05),
        ({"kind": "moniqua", "theta": 4.0, "bits": 1}, 0.1),
    ],
    ids=["choco-sgd", "deep-squeeze", "moniqua"],
)
def test_the_mean_model_is_kept_whatever_is_lost(method, epsilon):
    # The gradient is linear: the mean goes as without any network.
    mean = np.zeros(D)
    for _ in range(ROUNDS):
        mean = mean - ALPHA * gradients(mean).mean(0)
    found = models(run(method, epsilon=epsilon))
    np.testing.assert_allclose(found.mean(0), mean, rtol=0, atol=1e-12)
    assert found.std(0).max() > 0.01


def test_one_bit_needs_slack():
    def spread(slack):
        method = {"kind": "moniqua", "theta": 1.0, "bits": 1, "batch": 5}
        simulation = run(method, epsilon=slack, rounds=100, problem=problem(samples=100 * N))
        return models(simulation).std(0).max()

    # All workers have the same distribution of data: if they heard nobody, their spread would be
    # sqrt(alpha / (2 b)) = 0.14. The quantizer's error is theta itself, which slack takes down.
    assert spread(1.0) > 0.4
    assert spread(0.1) < 0.14


LOSSY = {"kind": "low-precision", "levels": 15}


@pytest.mark.parametrize(
    "method",
    [
        *({"kind": k, "compressor": LOSSY} for k in ("dcd-psgd", "ecd-psgd", "choco-sgd")),
        {"kind": "deep-squeeze", "compressor": LOSSY},
        {"kind": "moniqua", "theta": 4.0, "bits": 4},
    ],
    ids=lambda method: method["kind"],
)
def test_a_crash_changes_no_number(method):
    # Rounds last a second; worker 1 goes in the middle of one, or as soon as its message is out.
    link = {"kind": "dedicated", "bandwidth_bps": float("inf"), "latency_s": 0.25}
    fields = {"rounds": 12, "link": link, "epsilon": 0.4}
    expected = models(run(method, **fields))
    for down_s in (3.5, 3.85):
        faults = {"workers": [{"worker": 1, "down_s": down_s, "up_s": 7.3}]}
        found = models(run(method, faults=faults, **fields))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_replicas_don_t_drift_in_single_precision():
    # Rounding errors of 6e-8 in a running sum would add up, and be divided by alpha h = 0.005: to
    # more than 2e-4 after 1,000 rounds.
    single = ONE_EACH.model_copy(update={"dtype": "float32"})
    method = {"kind": "dcd-psgd", "compressor": HALF}
    method["step_size"] = {"kind": "constant", "alpha": 0.05}
    one, other = (models(run(method, rounds=1500, problem=p)) for p in (single, ONE_EACH))
    np.testing.assert_allclose(one, other, rtol=0, atol=5e-5)
