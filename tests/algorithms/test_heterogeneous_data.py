"""D2 and gradient tracking: workers with different data end at the optimum of all of it."""

import numpy as np
import pytest
from builders import models, problem, setting, simulate
from one_sample_each import (
    ALPHA,
    CURVATURES,
    EXACT,
    HALF,
    MANY_EACH,
    D,
    N,
    gradients,
    half,
    mixing,
    run,
    thetas,
)

from desim.algorithms.base import Algorithm
from desim.algorithms.d2 import D2
from desim.errors import ScenarioError
from desim.mixings.laplacian import Laplacian
from desim.mixings.metropolis import Metropolis
from desim.streams import Streams
from desim.tensors.partitions.base import Partition
from desim.topologies.ring import Ring
from desim.worker.simulated import SimulatedWorker

DSGT = {"kind": "dsgt", "batch": 3}
D2_LAZY = {"kind": "d2", "batch": 3, "lazy": True}
D2_PLAIN = {"kind": "d2", "batch": 3, "mixing": {"kind": "laplacian", "margin": 2.0}}
BARRIERS = pytest.mark.parametrize("barrier", ["global", "neighbors"])


def observed(monkeypatch, method, **changes):
    """A simulation that has run, and what its workers have committed, step by step.

    Returns:
        The simulation, and (steps, workers, parameters) of the models and of each kept vector.
    """
    commit, kept = SimulatedWorker.commit, []

    def keep(me, *refs):
        commit(me, *refs)
        kept.append((me.steps, me.id, refs))

    monkeypatch.setattr(SimulatedWorker, "commit", keep)
    simulation = run(method, **changes)
    tape = simulation.tape
    rows = [[tape.record(ref, i) for ref in refs] for _, i, refs in kept]
    tape.flush()
    data = tape.kernels.store.data
    steps = min(worker.steps for worker in simulation.workers)
    found = np.empty((len(rows[0]), steps, N, D))
    for (step, i, _), nodes in zip(kept, rows, strict=True):
        if step <= steps:
            found[:, step - 1, i] = [data[node.row].numpy() for node in nodes]
    return simulation, found


@BARRIERS
def test_gradient_tracking_follows_its_recursion(barrier):
    simulation = run(DSGT | EXACT | {"barrier": barrier})
    w, x = mixing(simulation), np.zeros((N, D))
    y = gradients(x)
    for _ in range(50):
        old, x = x, w @ x - ALPHA * y
        y = w @ y + gradients(x) - gradients(old)
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("compressor", [EXACT, HALF])
def test_the_mean_tracker_is_the_mean_gradient_in_every_step(monkeypatch, compressor):
    fields = {"problem": MANY_EACH, "rounds": 30}
    _, (x, trackers, found) = observed(monkeypatch, DSGT | compressor, **fields)
    y, g = trackers.mean(1), found.mean(1)
    np.testing.assert_allclose(y, g, rtol=0, atol=1e-12)
    steps = np.diff(x.mean(1), axis=0)
    np.testing.assert_allclose(steps, -ALPHA * g[1:], rtol=0, atol=1e-12)
    assert np.abs(np.diff(g, axis=0)).min() > 0  # a new sample each time
    assert np.abs(trackers - y[:, None]).max() > 0.1  # and not the same tracker everywhere


def test_a_step_of_gradient_tracking_costs_two_models():
    trial = simulate(setting(DSGT))
    received = trial.rows("receive")
    assert set(received.bits) == {2 * 32 * 4}
    assert len(received) == 3 * 6  # one message for both


@BARRIERS
@pytest.mark.parametrize("method", [D2_LAZY, D2_PLAIN], ids=["lazy", "plain"])
def test_d2_follows_its_recursion(method, barrier):
    simulation = run(method | EXACT | {"barrier": barrier})
    w, old = mixing(simulation), np.zeros((N, D))
    if method is D2_LAZY:
        w = (w + np.eye(N)) / 2
    x = w @ (old - ALPHA * gradients(old))
    for _ in range(49):
        old, x = x, w @ (2 * x - old - ALPHA * (gradients(x) - gradients(old)))
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", [D2_LAZY, D2_PLAIN], ids=["lazy", "plain"])
def test_compression_leaves_the_mean_of_d2_alone(method):
    simulation = run(method | HALF)
    w, old = mixing(simulation), np.zeros((N, D))
    if method is D2_LAZY:
        w = (w + np.eye(N)) / 2
    x = old
    g = np.zeros((N, D))
    for _ in range(50):
        z, g = 2 * x - old - ALPHA * (gradients(x) - g), gradients(x)
        old, x = x, z + w @ half(z) - half(z)
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", [DSGT, D2_LAZY, D2_PLAIN], ids=["dsgt", "lazy", "plain"])
def test_every_worker_ends_at_the_exact_optimum_where_dsgd_does_not(method):
    best = np.tile(thetas().mean(0), (N, 1))
    found = models(run(method | EXACT, rounds=250))
    np.testing.assert_allclose(found, best, rtol=0, atol=1e-10)
    w = mixing(run(DSGT, rounds=1))
    dsgd = np.stack(
        [
            np.linalg.solve(np.eye(N) - w + ALPHA * h * np.eye(N), ALPHA * h * thetas()[:, c])
            for c, h in enumerate(CURVATURES)
        ],
        axis=1,
    )
    # DSGD's fixed point x = W x - alpha h (x - theta).
    assert (np.abs(dsgd - best).max(1) > 0.1).all()


class Same(Partition):
    """Everyone holds the first samples."""

    def assign(self, targets, workers, samples_per_worker, random):
        return [np.arange(samples_per_worker)] * workers


@pytest.mark.parametrize("method", [D2_LAZY, D2_PLAIN, DSGT], ids=["lazy", "plain", "dsgt"])
def test_with_the_same_data_everywhere_they_end_where_dsgd_does(method):
    # An epoch is one batch: gradients are exact.
    given = problem(
        samples=4 * N, parameters=D, partition=Same(), sampling="epochs", dtype="float64"
    )
    fields = {"problem": given, "rounds": 80}
    dsgd = models(run({"kind": "dsgd", "batch": 4} | EXACT, **fields))
    found = models(run(method | EXACT | {"batch": 4}, **fields))
    np.testing.assert_allclose(found, dsgd, rtol=0, atol=1e-10)
    np.testing.assert_allclose(dsgd[0], given.dataset.load().train_x[:4].mean(0), atol=1e-10)


def test_d2_refuses_a_w_that_makes_it_unstable():
    with pytest.raises(ScenarioError, match=r"d2: the smallest eigenvalue of W is -0.3333; .*lazy"):
        run({"kind": "d2", "batch": 1}, topology="ring")
    run({"kind": "d2", "batch": 1, "lazy": True}, topology="ring", rounds=1)


def test_d2_refuses_a_w_that_is_not_symmetric():
    with pytest.raises(ScenarioError, match="d2: needs a symmetric W"):
        run({"kind": "d2", "batch": 1}, topology="directed-ring", mixing="out-degree")


def test_d2_wants_large_diagonals_where_eigenvalues_are_unknown():
    graph = Ring().build(2001, np.random.default_rng(0))
    step = {"step_size": {"kind": "constant", "alpha": 0.1}}
    plain, lazy = (
        Algorithm.parse({"kind": "d2", "batch": 1, "lazy": lazy} | step) for lazy in (False, True)
    )
    assert isinstance(plain, D2)
    thirds = Metropolis().build(graph)
    with pytest.raises(ScenarioError, match=r"2,001 workers .* smallest is 0.3333.*lazy = true"):
        plain.prepare(thirds, Streams(0))
    lazy.prepare(thirds, Streams(0))
    plain.prepare(Laplacian(margin=2.0).build(graph), Streams(0))
