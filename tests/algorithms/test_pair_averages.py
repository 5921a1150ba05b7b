"""AD-PSGD and SwarmSGD: whole runs against their events, the mean, and no circle of waiting."""

from heapq import heappop, heappush
from itertools import count

import numpy as np
import pytest
import torch
from builders import models, setting, simulate, speeds
from hypothesis import given, settings
from hypothesis import strategies as st
from one_sample_each import ALPHA, CURVATURES, EXACT, HALF, ONE_EACH, SEED, D, N, run, thetas

from desim.engine.simulation import Simulation
from desim.errors import ScenarioError
from desim.schema.registry import NestedError
from desim.streams import Streams

AD_PSGD = {"kind": "ad-psgd", "batch": 1}
SWARM = {"kind": "swarm-sgd", "batch": 1}
LATENCY_S, UNTIL_S = 0.25, 30.0
#: Steps of sqrt(2), sqrt(3), ... seconds, so that no two things happen at once.
STEP_S = np.sqrt([2, 3, 5, 7, 11, 13])
FIELDS = {
    "topology": "ring",
    "stragglers": speeds(*(1 / STEP_S)),
    "link": {"kind": "dedicated", "bandwidth_bps": float("inf"), "latency_s": LATENCY_S},
    "stop": {"time_s": UNTIL_S},
}


class Events:
    """What happens later, in order."""

    def __init__(self):
        self._coming, self._serial = [], count()

    def at(self, time_s, action):
        heappush(self._coming, (time_s, next(self._serial), action))

    def run(self):
        while self._coming and self._coming[0][0] <= UNTIL_S:
            time_s, _, action = heappop(self._coming)
            action(time_s)


def partner(simulation, i, number, among):
    return among[int(simulation.workers[i].draw(2 * number + 1) * len(among))]


THETAS = thetas()


def gradient(i, x):
    return CURVATURES * (x - THETAS[i])


@pytest.mark.parametrize("overlap", [False, True])
def test_ad_psgd_averages_in_one_go_and_steps_with_the_gradient_of_an_older_model(overlap):
    simulation = run(AD_PSGD | EXACT | {"overlap": overlap}, **FIELDS)
    x, steps, events, waits = np.zeros((N, D)), [0] * N, Events(), {}

    def begin(i, now):
        waits[i] = set() if i % 2 else {"gradient", "answer"}
        g = gradient(i, x[i])
        events.at(now + STEP_S[i], lambda now: computed(i, g, now))
        if overlap and not i % 2:
            ask(i, now)

    def computed(i, g, now):
        if not overlap and not i % 2:
            ask(i, now)
        waits[i].discard("gradient")
        waits[i, "then"] = lambda: ALPHA * g
        end(i, now)

    def ask(i, now):
        j, asked = partner(simulation, i, steps[i], simulation.workers[i].neighbours), x[i].copy()

        def arrive(now):
            x[j] = (asked + x[j]) / 2
            average = x[j].copy()
            events.at(now + LATENCY_S, lambda now: answered(i, average, now))

        events.at(now + LATENCY_S, arrive)

    def answered(i, average, now):
        x[i] = average
        waits[i].discard("answer")
        end(i, now)

    def end(i, now):
        if not waits[i]:
            x[i], steps[i] = x[i] - waits[i, "then"](), steps[i] + 1
            begin(i, now)

    for i in range(N):
        begin(i, 0.0)
    events.run()
    assert [worker.steps for worker in simulation.workers] == steps
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)


class SwarmByHand:
    """Swarm's non-blocking form by events: p is published, y a worker's own, d its own steps."""

    def __init__(self, simulation, local_steps, overlap):
        self.simulation, self.local_steps, self.overlap = simulation, local_steps, overlap
        self.p, self.y, self.d = (np.zeros((N, D)) for _ in range(3))
        self.steps, self.events, self.stood = [0] * N, Events(), 0
        self.line, self.engaged, self.ready, self.averaged = [], set(), {}, set()

    def run(self):
        for i in range(N):
            self.begin(i, 0.0)
        self.events.run()

    def begin(self, i, now):
        g = gradient(i, self.y[i])
        self.events.at(now + STEP_S[i], lambda now: self.computed(i, ALPHA * g, now))
        if self.is_last(i) and self.overlap:
            self.ask(i, now)

    def is_last(self, i):
        return (self.steps[i] + 1) % self.local_steps == 0

    def computed(self, i, step, now):
        if not self.is_last(i):
            self.y[i], self.d[i] = self.y[i] - step, self.d[i] - step
            self.steps[i] += 1
            self.begin(i, now)
            return
        self.ready[i] = step
        if not self.overlap:
            self.ask(i, now)
        self.meet(i, now)

    def ask(self, i, now):
        neighbours = self.simulation.workers[i].neighbours
        self.line.append((i, partner(self.simulation, i, self.steps[i], neighbours)))
        self.go_on(now)
        self.stood += bool(self.line)

    def go_on(self, now):
        taken = set(self.engaged)
        for pair in list(self.line):
            if taken.isdisjoint(pair):
                self.line.remove(pair)
                self.engaged.update(pair)
                self.question(*pair, now)
            taken |= {*pair}

    def question(self, i, j, now):
        asked = self.p[i].copy()

        def arrive(now):
            average = self.p[j] = (asked + self.p[j]) / 2
            self.engaged.discard(j)
            self.events.at(now + LATENCY_S, lambda now: self.answered(i, average.copy(), now))
            self.go_on(now)

        self.events.at(now + LATENCY_S, arrive)

    def answered(self, i, average, now):
        self.p[i] = average
        self.averaged.add(i)
        self.engaged.discard(i)
        self.go_on(now)
        self.meet(i, now)

    def meet(self, i, now):
        if i in self.averaged and i in self.ready:
            self.averaged.discard(i)
            self.p[i] = self.p[i] + self.d[i] - self.ready.pop(i)
            self.y[i], self.d[i] = self.p[i], 0.0
            self.steps[i] += 1
            self.begin(i, now)


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("local_steps", [1, 3])
def test_swarm_averages_published_copies_and_adds_its_own_steps(local_steps, overlap):
    method = SWARM | EXACT | {"local_steps": local_steps, "overlap": overlap}
    simulation = run(method, **FIELDS)
    expected = SwarmByHand(simulation, local_steps, overlap)
    expected.run()
    assert expected.stood > 0 or local_steps > 1
    assert [worker.steps for worker in simulation.workers] == expected.steps
    np.testing.assert_allclose(models(simulation), expected.p + expected.d, rtol=0, atol=1e-12)


def test_geometric_local_steps_have_their_mean():
    given = setting(SWARM | {"local_steps": 4, "steps_law": "geometric"})
    worker, ends = Simulation(given).workers[0], []
    for worker.steps in range(4000):
        ends += [worker.steps] * given.algorithm._is_last(worker)
    counts = np.diff([-1, *ends])
    # The standard error of 1,000 draws with variance 12 is 0.11, of the share of ones 0.014.
    assert np.mean(counts) == pytest.approx(4, abs=0.44)
    assert np.mean(counts == 1) == pytest.approx(1 / 4, abs=0.056)


def test_blocking_swarm_is_its_pairs_in_order():
    method = SWARM | EXACT | {"local_steps": 2, "blocking": True}
    fields = FIELDS | {"workers": N, "problem": ONE_EACH, "seed": SEED}
    step_size = {"kind": "constant", "alpha": ALPHA}
    simulation = Simulation(setting(method | {"step_size": step_size}, **fields))
    pairs, drawn = simulation.workers[0].common[2], []
    draw = pairs.draw
    pairs.draw = lambda worker: drawn.extend(new := draw(worker)) or new
    simulation.run()
    x, left = np.zeros((N, D)), [worker.steps for worker in simulation.workers]
    for pair in drawn:
        met = [left[i] >= 2 for i in pair]
        y = x[pair]
        for _ in range(2):
            y = y - ALPHA * CURVATURES * (y - THETAS[pair])
        for i, there in zip(pair, met, strict=True):
            if there:
                x[i], left[i] = y.mean(0), left[i] - 2
    for i in range(N):
        for _ in range(left[i]):
            x[i] = x[i] - ALPHA * gradient(i, x[i])
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-12)


METHODS = [
    AD_PSGD,
    AD_PSGD | {"overlap": True},
    SWARM,
    SWARM | {"local_steps": 1, "overlap": True},
    SWARM | {"blocking": True, "steps_law": "geometric"},
]
FAULTS = {"workers": {"mean_up_s": 20.0, "mean_down_s": 2.0}}


def consensus(method, begin, **changes):
    """The models after a run that begins with these, in which gradients make no difference."""
    step_size = {"kind": "constant", "alpha": 1e-30}
    fields = FIELDS | {"workers": N, "problem": ONE_EACH} | changes
    simulation = Simulation(setting(method | {"step_size": step_size}, **fields))
    for worker, row in zip(simulation.workers, begin, strict=True):
        worker.model = simulation.tape.constant(torch.tensor(row))
    assert not simulation.run().stalled
    return models(simulation)


BEGIN = np.random.default_rng(1).standard_normal((N, D))


@pytest.mark.parametrize("faults", [None, FAULTS])
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_from_different_models_all_come_to_their_mean(method, faults):
    link = {"kind": "dedicated", "bandwidth_bps": 1e3, "latency_s": 0.3, "loss": 0.1}
    link |= {"resend_after_s": 0.5}
    found = consensus(method | EXACT, BEGIN, link=link, faults=faults, stop={"rounds": 100})
    np.testing.assert_allclose(found, np.tile(BEGIN.mean(0), (N, 1)), rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_links_that_are_slower_than_gradients_do_no_harm(method):
    # What is under way is of another model than when it was sent, but what is averaged isn't.
    link = {"kind": "dedicated", "bandwidth_bps": float("inf"), "latency_s": 6.0}
    found = consensus(method | EXACT, BEGIN, link=link, stop={"time_s": 300.0})
    np.testing.assert_allclose(found, np.tile(BEGIN.mean(0), (N, 1)), rtol=0, atol=0.1)
    assert (abs(found).max(0) <= abs(BEGIN).max(0)).all()


def test_compression_does_not_move_the_mean():
    link = {"kind": "dedicated", "bandwidth_bps": float("inf")}  # nothing is under way at the end
    found = consensus(AD_PSGD | HALF, BEGIN, link=link)
    np.testing.assert_allclose(found.mean(0), BEGIN.mean(0), rtol=0, atol=1e-14)
    assert found.std(0).max() < 0.1 * BEGIN.std(0).max()


def test_a_passive_worker_averages_in_the_midst_of_its_gradient():
    # A star: the leaves ask after 1 s and 1.25 s, messages take 0.5 s, the hub computes for 10 s.
    def at(time_s):
        link = {"kind": "dedicated", "bandwidth_bps": float("inf"), "latency_s": 0.5}
        fields = {"topology": "star", "link": link, "stragglers": speeds(0.1, 1, 0.8)}
        return models(run(AD_PSGD | EXACT, workers=3, **fields, stop={"time_s": time_s}))

    theta, zero = thetas(3), np.zeros(D)
    one, two = (-ALPHA * CURVATURES * (0 - theta[i]) for i in (1, 2))
    first = (zero + one) / 2
    second = (first + two) / 2
    one_on, two_on = (-ALPHA * CURVATURES * (x - theta[i]) for i, x in ((1, one), (2, two)))
    # Worker 1's second question comes to the hub at 3.5 s, its answer at 4.0 s; worker 2's question
    # at 4.0 s, its answer at 4.5 s.
    for time_s, expected in [
        (2.1, [zero, one, zero]),
        (3.4, [zero, one, two]),
        (3.6, [first, one, two]),
        (4.1, [second, first + one_on, two]),
        (4.6, [second, first + one_on, second + two_on]),
    ]:
        np.testing.assert_allclose(at(time_s), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("method", "expected_s"),
    [
        (AD_PSGD, 3.0),
        # Worker 1 asks too, once, and has its turn from 0.8 s to 1.6 s.
        (SWARM | {"local_steps": 1}, 3.4),
    ],
    ids=["ad-psgd", "swarm-sgd"],
)
def test_overlap_hides_the_links(method, expected_s):
    # Question and answer take 0.8 s in all, the partner is slow.
    link = {"kind": "dedicated", "bandwidth_bps": float("inf"), "latency_s": 0.4}
    fields = {"workers": 2, "stragglers": speeds(1, 0.01), "link": link, "stop": {"steps": 3}}
    plain, hidden = (
        simulate(setting(method | {"overlap": overlap}, **fields)).outcome.time_s
        for overlap in (False, True)
    )
    assert (plain, hidden) == (pytest.approx(5.4), pytest.approx(expected_s))


@pytest.mark.parametrize(
    ("topology", "workers", "active"),
    [
        ("ring", 6, {0, 2, 4}),
        ("ring", 5, {0, 2, 4}),  # all but the edge 4-0
        ("star", 5, {1, 2, 3, 4}),
        ("complete", 5, {0, 2, 4}),
    ],
)
def test_ad_psgd_has_an_active_and_a_passive_side(topology, workers, active):
    given = setting(AD_PSGD, topology=topology, workers=workers)
    partners = given.algorithm.prepare(given.weights(Streams(0)), Streams(0)).partners
    assert {i for i, row in enumerate(partners) if row} == active
    assert not active & {j for row in partners for j in row}


@settings(max_examples=40, deadline=None)
@given(
    method=st.sampled_from(METHODS),
    workers=st.integers(2, 6),
    topology=st.sampled_from(["ring", "star", "complete", {"kind": "erdos-renyi", "p": 0.5}]),
    pace=st.lists(st.sampled_from([0.3, 1.0, 1.7, 9.0]), min_size=6, max_size=6),
    latency_s=st.sampled_from([0.0, 0.1, 5.0]),
    seed=st.integers(0, 99),
)
def test_nobody_waits_in_a_circle(method, workers, topology, pace, latency_s, seed):
    link = {"kind": "dedicated", "bandwidth_bps": 1e3, "latency_s": latency_s}
    fields = {"stragglers": speeds(*pace[:workers]), "topology": topology, "link": link}
    given = setting(method, workers=workers, seed=seed, **fields, stop={"rounds": 6})
    outcome = simulate(given).outcome
    assert outcome.stopped_by == "rounds", outcome.stalled


def test_they_refuse_links_of_one_direction_and_an_overlap_with_nothing():
    one_way = {"topology": "directed-ring", "mixing": "out-degree", "workers": 4}
    for method in (AD_PSGD, SWARM):
        with pytest.raises(ScenarioError, match="links that go both ways"):
            Simulation(setting(method, **one_way))
    with pytest.raises((ScenarioError, NestedError), match="a blocking average needs"):
        setting(SWARM | {"blocking": True, "overlap": True})
