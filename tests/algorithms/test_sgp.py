"""Push-sum against its recursion, on links that go in one direction, and with late messages."""

import numpy as np
import pytest
from builders import models, setting, simulate, speeds
from one_sample_each import (
    ALPHA,
    EXACT,
    HALF,
    ONE_EACH,
    D,
    N,
    gradients,
    half,
    mixing,
    run,
    thetas,
)

from desim.algorithms.parts.pushes import Pushes
from desim.errors import ScenarioError
from desim.schema.registry import find

SGP = {"kind": "sgp", "batch": 3}
IRREGULAR = {"topology": {"kind": "directed-random", "degree": 2}, "mixing": "out-degree"}
EXPONENTIAL = {"topology": "directed-exponential", "mixing": "out-degree"}
ONE_WAY = {"topology": "directed-ring", "mixing": "out-degree"}
#: Steps whose ends never coincide, from 1 to 3.6 s, and messages of 0.25 s.
UNEQUAL = {
    "stragglers": speeds(*(3 / np.sqrt([1, 2, 3, 5, 7, 13]))),
    "link": {"kind": "dedicated", "bandwidth_bps": float("inf"), "latency_s": 0.25},
}


def weights(simulation):
    """Every worker's w."""
    return np.array([worker.state(1.0, 0)[0] for worker in simulation.workers])


def follow(matrix, rounds, alpha=ALPHA, through=lambda x: x):
    """z and w after so many rounds with P = matrix(t)."""
    x, w = np.zeros((N, D)), np.ones(N)
    for t in range(rounds):
        p = matrix(t)
        own, others = np.diag(np.diag(p)), p - np.diag(np.diag(p))
        h = x - alpha * gradients(x / w[:, None])
        x = h - (np.eye(N) - own) @ through(h) + others @ through(h)
        w = p @ w
    return x / w[:, None], w


@pytest.mark.parametrize("topology", ["ring", "star", {"kind": "erdos-renyi", "p": 0.5}], ids=str)
def test_on_a_symmetric_matrix_it_is_dsgd(topology):
    sgp = run(SGP | EXACT, topology=topology)
    dsgd = {"kind": "dsgd", "batch": 3, "order": "adapt-then-combine", "barrier": "neighbors"}
    np.testing.assert_allclose(
        models(sgp), models(run(dsgd | EXACT, topology=topology)), atol=1e-12
    )
    np.testing.assert_allclose(weights(sgp), 1, atol=1e-13)


@pytest.mark.parametrize("fields", [IRREGULAR, EXPONENTIAL, ONE_WAY], ids=str)
def test_it_follows_the_recursion(fields):
    simulation = run(SGP | EXACT, **fields)
    p = mixing(simulation)
    np.testing.assert_allclose(p.sum(0), 1, atol=1e-15)
    z, w = follow(lambda _: p, 50)
    np.testing.assert_allclose(models(simulation), z, atol=1e-12)
    np.testing.assert_allclose(weights(simulation), w, atol=1e-13)
    assert (abs(w - 1).max() > 0.3) == (fields is IRREGULAR)


def hop(t):
    """P on 6 workers, with hops of 1, 2 and 4 in turn: half of what there is goes that way."""
    return 0.5 * (np.eye(N) + np.roll(np.eye(N), 2 ** (t % 3), axis=0))


def test_with_one_peer_the_hops_take_turns():
    simulation = run(SGP | EXACT | {"peers": "one"}, **EXPONENTIAL)
    z, w = follow(hop, 50)
    np.testing.assert_allclose(models(simulation), z, atol=1e-12)
    np.testing.assert_allclose(weights(simulation), w, atol=1e-13)


@pytest.mark.parametrize("fields", [IRREGULAR, {"topology": "star"}], ids=str)
def test_one_peer_may_have_other_numbers_of_targets(fields):
    simulation = run(SGP | EXACT | {"peers": "one"}, **fields)
    targets = [sorted(w.targets, key=lambda j, i=w.id: (j - i) % N) for w in simulation.workers]

    def matrix(t):
        p = 0.5 * np.eye(N)
        for j, row in enumerate(targets):
            p[row[t % len(row)], j] += 0.5
        return p

    z, w = follow(matrix, 50)
    np.testing.assert_allclose(models(simulation), z, atol=1e-12)
    np.testing.assert_allclose(weights(simulation), w, atol=1e-13)
    assert abs(w - 1).max() > 0.1


@pytest.mark.parametrize(
    ("fields", "graph"),
    [
        ({}, ONE_WAY),
        ({}, EXPONENTIAL),
        ({}, IRREGULAR),
        ({"peers": "one"}, EXPONENTIAL),
        ({"delay": 1}, IRREGULAR),
    ],
    ids=str,
)
def test_the_mean_model_reaches_the_optimum_and_the_others_stay_near(fields, graph):
    # All have the same curvatures: where nothing changes any more sum g_i(z_i) = 0, and the mean
    # of z is the mean of theta. What began has shrunk by e^(-0.25 * 30) at least. The distances
    # from the mean are proportional to alpha, while that is small.
    spread = []
    for alpha in (0.4, 0.1):
        found = models(run(SGP | EXACT | fields, rounds=int(30 / alpha), alpha=alpha, **graph))
        np.testing.assert_allclose(found.mean(0), thetas().mean(0), atol=1e-3)
        spread.append(abs(found - found.mean(0)).max())
    assert 2.2 < spread[0] / spread[1] < 4


def test_compression_leaves_the_sums_alone():
    simulation = run(SGP | HALF, **IRREGULAR)
    p = mixing(simulation)
    z, _ = follow(lambda _: p, 50, through=half)
    np.testing.assert_allclose(models(simulation), z, atol=1e-12)
    exact, _ = follow(lambda _: p, 50)
    assert abs(z - exact).max() > 1e-5


def on_the_way(simulation, pushed):
    """The sum of p_ij w_j over what has been pushed and not yet taken.

    Of a step that has not ended yet the sender still has all: what others have taken of it counts
    as less than nothing.
    """
    total = 0.0
    for me in simulation.workers:
        _, taken = me.state(1.0, 0)
        for sender in simulation.workers:
            sign = 1 if taken < sender.steps else -1
            for step in range(*sorted([taken, sender.steps])):
                shares = me.common._shares(me, step)
                if sender.id in shares:
                    total += sign * shares[sender.id] * pushed[sender.id, step]
    return total


@pytest.mark.parametrize("time_s", [4.0, 31.7])
@pytest.mark.parametrize("graph", [IRREGULAR, EXPONENTIAL], ids=str)
@pytest.mark.parametrize(
    "fields", [{}, {"delay": 1}, {"delay": 3}, {"delay": 2, "peers": "one"}], ids=str
)
def test_weights_and_those_on_the_way_sum_to_n(fields, graph, time_s, monkeypatch):
    pushed, push = {}, Pushes.push

    def noting(self, me, step, message):
        pushed[me.id, step] = message.content[1]
        return push(self, me, step, message)

    monkeypatch.setattr(Pushes, "push", noting)
    simulation = run(SGP | fields, **graph, **UNEQUAL, stop={"time_s": time_s})
    late = on_the_way(simulation, pushed)
    assert (late != 0) or not fields
    assert weights(simulation).sum() + late == pytest.approx(N, abs=1e-12)


def test_overlapped_pushes_by_hand():
    """A ring 0 -> 1 -> 2 -> 0 with tau = 1; steps of 1, 1 and 2.5 s, messages of 0.2 s.

    0 ends a step at 1 (nothing has come), pushes at 2 and waits until 2.7 for the first of 2, which
    was pushed at 2.5; it pushes at 3.7 and waits for the second, pushed at 5, until 5.2.
    1 ends steps at 1 (0's first message comes at 1.2), 2 (that one), 3 (0's second, of 2.2) and
    4 (0's third, of 3.9); its fifth, at 5, waits for 0's fourth, pushed at 6.2.
    2 ends steps at 2.5 (with 1's first message, of 1.2, not with later steps' of 2.2) and 5 (with
    1's second).
    """
    link = {"kind": "dedicated", "bandwidth_bps": float("inf"), "latency_s": 0.2}
    method = SGP | {"batch": 1, "delay": 1} | EXACT
    given = setting(
        method | {"step_size": {"kind": "constant", "alpha": ALPHA}},
        workers=3,
        problem=ONE_EACH,
        stragglers=speeds(1.0, 1.0, 0.4),
        link=link,
        stop={"time_s": 5.3},
        seed=2,
        **ONE_WAY,
    )
    trial = simulate(given, train=True)
    by_hand = [  # who ends a step, and which of its sender's messages it takes
        (0, []),  # at 1 s
        (1, []),  # 1
        (1, [0]),  # 2
        (2, [0]),  # 2.5
        (0, [0]),  # 2.7
        (1, [1]),  # 3
        (1, [2]),  # 4
        (2, [1]),  # 5
        (0, [1]),  # 5.2
    ]
    z, w, steps, pushed = np.zeros((3, D)), np.ones(3), [0, 0, 0], {}

    def half_of(i):
        """What i pushes at its next step, and keeps."""
        return (w[i] * z[i] - ALPHA * gradients(z)[i]) / 2, w[i] / 2

    for i in range(3):
        pushed[i, 0] = half_of(i)
    for i, taken in by_hand:
        parts = [pushed[i, steps[i]], *(pushed[(i - 1) % 3, step] for step in taken)]
        x, w[i] = (sum(part[k] for part in parts) for k in (0, 1))
        z[i] = x / w[i]
        steps[i] += 1
        pushed[i, steps[i]] = half_of(i)
    simulation = trial.simulation
    assert [worker.steps for worker in simulation.workers] == steps
    assert trial.spans("wait", 0) == [pytest.approx((2, 2.7)), pytest.approx((3.7, 5.2))]
    assert trial.spans("wait", 1) == [pytest.approx((5, 5.3))]  # until the end
    assert trial.spans("wait", 2) == []
    np.testing.assert_allclose(weights(simulation), w, rtol=1e-15)
    np.testing.assert_allclose(models(simulation), z, atol=1e-14)


def test_a_long_delay_needs_no_waiting():
    # One is three times as slow: the others wait for it, with tau = 0 from the beginning on, with
    # tau = 40 not before they are 40 steps ahead.
    fields = {"stragglers": speeds(1, 1, 1, 1, 1, 1 / 3), "stop": {"time_s": 30.0}}
    held, free = (run(SGP | {"batch": 1, "delay": d}, **EXPONENTIAL, **fields) for d in (0, 40))
    assert [worker.steps for worker in free.workers] == [30] * 5 + [10]
    assert max(worker.steps for worker in held.workers) <= 12


@pytest.mark.parametrize("peers", ["all", "one"])
def test_a_crash_changes_nothing_but_the_time(peers):
    # Without a delay, what a worker has after so many steps depends on nothing else.
    faults = {"workers": {"mean_up_s": 8.0, "mean_down_s": 2.0}}
    fields = EXPONENTIAL | UNEQUAL | {"link": UNEQUAL["link"] | {"loss": 0.2}}
    crashed = run(SGP | EXACT | {"peers": peers}, faults=faults, **fields)
    p = mixing(crashed)
    for worker, found in zip(crashed.workers, models(crashed), strict=True):
        z, _ = follow(hop if peers == "one" else lambda _: p, worker.steps)
        np.testing.assert_allclose(found, z[worker.id], atol=1e-12)


@pytest.mark.parametrize("delay", [1, 3])
def test_no_weight_is_lost_or_counted_twice_in_crashes(delay, monkeypatch):
    pushed, push = {}, Pushes.push

    def noting(self, me, step, message):
        # Who does a step again pushes the same again.
        assert pushed.setdefault((me.id, step), message.content[1]) == message.content[1]
        return push(self, me, step, message)

    monkeypatch.setattr(Pushes, "push", noting)
    faults = {"workers": {"mean_up_s": 8.0, "mean_down_s": 2.0}}
    lossy = UNEQUAL | {"link": UNEQUAL["link"] | {"loss": 0.2}}
    simulation = run(SGP | {"delay": delay}, faults=faults, **IRREGULAR, **lossy)
    total = weights(simulation).sum() + on_the_way(simulation, pushed)
    assert total == pytest.approx(N, abs=1e-12)


@pytest.mark.parametrize("delay", [0, 2])
def test_a_worker_that_lost_its_model_goes_on(delay):
    faults = {"workers": [{"worker": 1, "down_s": 7.3, "up_s": 9.0}], "model": "reset"}
    simulation = run(SGP | EXACT | {"delay": delay}, faults=faults, rounds=120, **EXPONENTIAL)
    assert abs(models(simulation).mean(0) - thetas().mean(0)).max() < 0.3


@pytest.mark.parametrize("fields", [{}, {"peers": "one"}, {"delay": 1}], ids=str)
def test_a_message_is_a_model_and_a_weight(fields):
    given = setting(SGP | fields, workers=N, problem=ONE_EACH, **EXPONENTIAL)
    received = simulate(given).rows("receive")
    assert set(received.bits) == {32 * D + 32}
    assert len(received) == 3 * N * (1 if fields.get("peers") else 3)


def test_what_makes_no_sense_is_refused():
    step_size = {"kind": "constant", "alpha": 0.1}
    for field, value in {"delay": -1, "peers": "two", "batch": 0}.items():
        with pytest.raises(ScenarioError, match=field):
            find("algorithms", "sgp")(**({"batch": 1, "step_size": step_size} | {field: value}))
