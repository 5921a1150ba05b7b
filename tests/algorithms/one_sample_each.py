"""A problem on which a method is a recursion of matrices that numpy can follow.

With one sample theta_i a worker the quadratic's gradient is h * (x_i - theta_i), whatever is drawn.
"""

import numpy as np
from builders import problem, setting

from desim.engine.simulation import Simulation
from desim.streams import Streams

N, D, ALPHA, SEED = 6, 5, 0.3, 2
CONDITION = 2.0
CURVATURES = np.logspace(-np.log10(CONDITION), 0, D)
ONE_EACH = problem(
    samples=N,
    parameters=D,
    samples_per_worker=1,
    model={"kind": "quadratic", "condition": CONDITION},
    dtype="float64",
)
#: Noise, and every worker has samples of its own.
MANY_EACH = problem(samples=10 * N, parameters=D, dtype="float64")
#: Models arrive as they are; as 32-bit floats they would be rounded.
EXACT = {"compressor": {"kind": "none", "bits": 64}}
#: What is lost on the way, numpy can lose too.
HALF = {"compressor": {"kind": "none", "bits": 16}}


def half(vectors):
    return vectors.astype(np.float16).astype(float)


def run(method, rounds=50, *, alpha=ALPHA, epsilon=1.0, **changes):
    """A simulation that has run."""
    fields = {"workers": N, "topology": {"kind": "erdos-renyi", "p": 0.5}, "seed": SEED}
    fields |= {"stop": {"rounds": rounds}, "problem": ONE_EACH}
    step_size = {"kind": "constant", "alpha": alpha, "epsilon": epsilon}
    simulation = Simulation(setting(method | {"step_size": step_size}, **(fields | changes)))
    outcome = simulation.run()
    assert outcome.stopped_by in ("rounds", "time_s"), outcome.stalled
    return simulation


def thetas(workers=N):
    """Each worker's sample, (workers, parameters)."""
    data = ONE_EACH.dataset.load()
    return data.train_x[np.concatenate(ONE_EACH.assign(data, workers, Streams(SEED)))]


def gradients(x):
    return CURVATURES * (x - thetas(len(x)))


def mixing(simulation):
    n = len(simulation.workers)
    w = np.zeros((n, n))
    for worker in simulation.workers:
        w[worker.id, worker.id] = worker.own_weight
        w[worker.id, worker.neighbours] = worker.weights
    return w
