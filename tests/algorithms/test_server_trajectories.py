"""Methods with a server follow their papers' equations, event by event.

`Reference` is a simulator of its own, of workers with fixed step times and messages that take no
time; a method is a rule of a few lines. With one sample theta_i a worker its gradient is
h (x - theta_i), whatever is drawn. Step times are roots of primes, so that no two things happen at
once.
"""

from heapq import heappop, heappush

import numpy as np
import pytest
from builders import problem, setting, speeds
from one_sample_each import CURVATURES, ONE_EACH, SEED, D, N, thetas

from desim.engine.simulation import Simulation

ALPHA, END_S = 0.1, 60.0
STEP_S = np.sqrt([2, 3, 5, 7, 11, 13])
EXACT = {
    "batch": 3,
    "compressor": {"kind": "none", "bits": 64},
    "model_compressor": {"kind": "none", "bits": 64},
    "step_size": {"kind": "constant", "alpha": ALPHA},
}


def run(method, **changes):
    fields = {"workers": N, "stragglers": speeds(*(3 / STEP_S)), "problem": ONE_EACH, "seed": SEED}
    fields |= {"stop": {"time_s": END_S}, "evaluate": {"every_rounds": 10}}
    simulation = Simulation(setting(EXACT | method, **(fields | changes)))
    simulation.run()
    return simulation


def model(simulation):
    node = simulation.tape.record(simulation.server.model, N)
    simulation.tape.flush()
    return simulation.tape.kernels.store.data[node.row].numpy().copy()


class Reference:
    """A server's model, and workers that compute at what they were given last."""

    def __init__(self, rule, local_steps=1, momentum=0.0):
        self.x, self.version, self.collected = np.zeros(D), 0, []
        self.waiting, self.clocks = [], [0] * N
        theta, events, serial = thetas(), [], [0] * N
        given = [(self.x, 0)] * N
        for i in range(N):
            heappush(events, (local_steps * STEP_S[i], i, 0))
        while events[0][0] < END_S:
            now, i, number = heappop(events)
            if number < serial[i]:
                continue  # it was given a newer model meanwhile
            (y, version), u = given[i], 0.0
            for _ in range(local_steps):
                u = momentum * u + CURVATURES * (y - theta[i])
                y = y - ALPHA * u
            for k in rule(self, i, (given[i][0] - y) / ALPHA, self.version - version):
                given[k], serial[k] = (self.x, self.version), serial[k] + 1
                heappush(events, (now + local_steps * STEP_S[k], k, serial[k]))
        self.given = given

    def step(self, direction):
        self.x, self.version = self.x - ALPHA * direction, self.version + 1


def asynchronous(server, i, gradient, delay):
    server.step(gradient)
    return [i]


def delay_adaptive(server, i, gradient, delay):
    server.step(gradient / (1 + delay))
    return [i]


def synchronous(backups):
    def rule(server, i, gradient, delay):
        if delay:
            return [i]
        server.collected.append((i, gradient))
        if len(server.collected) < N - backups:
            return []
        used, server.collected = server.collected, []
        server.step(np.mean([g for _, g in used], 0))
        return [k for k, _ in used]

    return rule


def first_ones(count, cancel):
    def rule(server, i, gradient, delay):
        if not delay:
            server.collected.append(gradient)
        if len(server.collected) < count:
            return [i]
        server.step(np.mean(server.collected, 0))
        server.collected = []
        return range(N) if cancel else [i]

    return rule


def malenia(count):
    def rule(server, i, gradient, delay):
        if not delay:
            server.collected.append((i, gradient))
        own = [[g for k, g in server.collected if k == j] for j in range(N)]
        if min(map(len, own)) and 1 / np.mean([1 / len(row) for row in own]) >= count / N - 1e-9:
            server.step(np.mean([np.mean(row, 0) for row in own], 0))
            server.collected = []
        return [i]

    return rule


def ringmaster(limit, stop):
    given = [0] * N

    def rule(server, i, gradient, delay):
        if delay < limit:
            server.step(gradient)
        given[i] = server.version
        old = [k for k in range(N) if stop and server.version - given[k] >= limit]
        for k in old:
            given[k] = server.version
        return [i, *old]

    return rule


def stale_synchronous(staleness):
    def rule(server, i, gradient, delay):
        server.step(gradient / N)
        server.clocks[i] += 1
        server.waiting.append(i)
        bound = min(server.clocks) + staleness
        free = [k for k in server.waiting if server.clocks[k] <= bound]
        server.waiting = [k for k in server.waiting if server.clocks[k] > bound]
        return free

    return rule


def buffered(size, rate, exponent, momentum=0.0):
    velocity = np.zeros(D)

    def rule(server, i, direction, staleness):
        nonlocal velocity
        server.collected.append(direction / (1 + staleness) ** exponent)
        if len(server.collected) == size:
            velocity = momentum * velocity + np.mean(server.collected, 0)
            server.step(rate * velocity)
            server.collected = []
        return [i]

    return rule


LOCAL = {"kind": "fedbuff", "buffer": 4, "local_steps": 3, "server_lr": 0.7}
METHODS = [
    ({"kind": "sync-sgd"}, synchronous(0)),
    ({"kind": "sync-sgd", "backups": 2}, synchronous(2)),
    ({"kind": "k-batch-sync", "batches": 4}, first_ones(4, cancel=True)),
    ({"kind": "k-batch-sync", "batches": 9}, first_ones(9, cancel=True)),
    ({"kind": "async-sgd"}, asynchronous),
    ({"kind": "async-sgd", "step": "delay-adaptive"}, delay_adaptive),
    ({"kind": "ssp", "staleness": 0}, stale_synchronous(0)),
    ({"kind": "ssp", "staleness": 2}, stale_synchronous(2)),
    ({"kind": "rennala-sgd", "batches": 4}, first_ones(4, cancel=False)),
    ({"kind": "rennala-sgd", "batches": 9}, first_ones(9, cancel=False)),
    ({"kind": "malenia-sgd", "batches": 1}, malenia(1)),
    ({"kind": "malenia-sgd", "batches": 9}, malenia(9)),
    ({"kind": "ringmaster-asgd", "delay_limit": 4}, ringmaster(4, stop=False)),
    ({"kind": "ringmaster-asgd", "delay_limit": 4, "stop": True}, ringmaster(4, stop=True)),
    ({"kind": "ringmaster-asgd", "delay_limit": 1, "stop": True}, ringmaster(1, stop=True)),
    ({"kind": "fedbuff", "buffer": 4}, buffered(4, 1.0, 0.0)),
]
FEDBUFF = [
    (LOCAL, buffered(4, 0.7, 0.0)),
    (LOCAL | {"staleness": "polynomial"}, buffered(4, 0.7, 0.5)),
    (LOCAL | {"staleness": "polynomial", "exponent": 2.0}, buffered(4, 0.7, 2.0)),
    (LOCAL | {"server_momentum": 0.6}, buffered(4, 0.7, 0.0, momentum=0.6)),
]


def assert_follows(method, reference):
    simulation = run(method)
    assert simulation.server.steps == reference.version >= 7
    np.testing.assert_allclose(model(simulation), reference.x, rtol=0, atol=1e-12)


def in_short(value):
    return str(value) if isinstance(value, dict) else "rule"


@pytest.mark.parametrize(("method", "rule"), METHODS, ids=in_short)
def test_the_servers_model_follows_the_papers_rule(method, rule):
    assert_follows(method, Reference(rule))


@pytest.mark.parametrize(("method", "rule"), FEDBUFF, ids=in_short)
def test_clients_take_local_steps_and_stale_ones_weigh_less(method, rule):
    assert_follows(method, Reference(rule, local_steps=3))


def test_a_clients_momentum_gathers_within_its_local_steps_only():
    method = LOCAL | {"optimizer": {"momentum": 0.9}}
    assert_follows(method, Reference(buffered(4, 0.7, 0.0), local_steps=3, momentum=0.9))


def test_workers_hold_the_models_that_they_were_given():
    simulation, reference = run({"kind": "async-sgd"}), Reference(asynchronous)
    tape = simulation.tape
    rows = [tape.record(worker.model, worker.id).row for worker in simulation.workers]
    found = tape.kernels.store.data[rows].numpy()
    np.testing.assert_allclose(found, [x for x, _ in reference.given], rtol=0, atol=1e-12)


SAMPLED = problem(samples=60 * N, parameters=D, dtype="float64")
#: Everyone takes a second.
ALIKE = {"stragglers": speeds(*[3] * N), "problem": SAMPLED, "stop": {"time_s": 20.5}}


@pytest.fixture(scope="module")
def synchronous_model():
    return model(run({"kind": "sync-sgd"}, **ALIKE))


@pytest.mark.parametrize(
    "method",
    [
        {"kind": "ssp", "staleness": 0},
        {"kind": "rennala-sgd", "batches": N},
        {"kind": "malenia-sgd", "batches": N},
        {"kind": "k-batch-sync", "batches": N},
    ],
    ids=str,
)
def test_with_equal_speeds_it_is_synchronous_sgd(method, synchronous_model):
    np.testing.assert_allclose(model(run(method, **ALIKE)), synchronous_model, rtol=0, atol=1e-10)


def test_synchronous_sgd_is_dsgd_on_a_complete_graph(synchronous_model):
    method = {"kind": "dsgd", "order": "adapt-then-combine", "batch": 3}
    method |= {key: EXACT[key] for key in ("compressor", "step_size")}
    given = setting(method, workers=N, topology="complete", mixing="uniform", seed=2, **ALIKE)
    simulation = Simulation(given)
    simulation.run()
    tape = simulation.tape
    rows = [tape.record(worker.model, worker.id).row for worker in simulation.workers]
    found = tape.kernels.store.data[rows].numpy()
    np.testing.assert_allclose(found, [synchronous_model] * N, rtol=0, atol=1e-10)


UNEQUAL = {"problem": SAMPLED, "evaluate": {"every_rounds": 1}}


def test_ssp_without_staleness_is_synchronous_sgd_for_unequal_speeds_too():
    # The last gradient of a clock comes after sqrt(13) s; at END_S one clock is under way.
    end = {"stop": {"time_s": 11 * STEP_S[-1] + 0.1}}
    found, expected = (
        model(run(method, **(UNEQUAL | end)))
        for method in ({"kind": "ssp", "staleness": 0}, {"kind": "sync-sgd"})
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_ringmaster_without_a_limit_is_asynchronous_sgd_bit_for_bit():
    found, expected = (
        model(run(method, **UNEQUAL))
        for method in ({"kind": "ringmaster-asgd"}, {"kind": "async-sgd"})
    )
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("times", [{}, {"stragglers": speeds(*[3] * N)}], ids=["unequal", "equal"])
def test_fedbuff_with_a_buffer_of_one_is_asynchronous_sgd(times):
    found, expected = (
        model(run(method, **(UNEQUAL | times)))
        for method in ({"kind": "fedbuff", "buffer": 1}, {"kind": "async-sgd"})
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_with_all_but_one_as_backups_only_the_fastest_counts():
    simulation = run({"kind": "sync-sgd", "backups": N - 1})
    steps = int(END_S / STEP_S[0])
    theta = thetas()[0]
    x = theta - theta * (1 - ALPHA * CURVATURES) ** steps
    assert simulation.server.steps == steps
    np.testing.assert_allclose(model(simulation), x, rtol=0, atol=1e-12)


LONG = {"stop": {"time_s": 500.0}}


def test_where_data_differ_malenia_finds_the_optimum_and_rennala_does_not():
    """Malenia's fixed point is where all workers' gradients sum to zero; 0.9^125 is 2e-6."""
    best = thetas().mean(0)
    step_size = {"kind": "constant", "alpha": 1.0}
    far = [
        abs(model(run({"kind": kind, "batches": N, "step_size": step_size}, **LONG)) - best).max()
        for kind in ("malenia-sgd", "rennala-sgd")
    ]
    assert far[0] < 1e-4
    assert far[1] > 0.05
