"""Anytime Minibatch: all samples that were got through weigh the same."""

import numpy as np
import pytest
from builders import models, setting, simulate, speeds
from one_sample_each import ALPHA, EXACT, HALF, MANY_EACH, D, N, gradients, half, mixing, run

from desim.algorithms.base import Algorithm
from desim.errors import ScenarioError

ANYTIME = {"kind": "anytime-minibatch", "deadline_s": 1.0, "consensus_rounds": 1}
#: Samples got through by each worker in steps that repeat. In the last of them nobody near
#: worker 2 gets any, so that with one round of consensus its z stays.
BATCHES = np.array([[3, 0, 2], [1, 5, 0], [4, 2, 0], [0, 1, 0], [2, 2, 6], [7, 0, 1]])
GIVEN = {"stragglers": speeds(*(BATCHES + 0.5).tolist()), "topology": "ring"}


@pytest.mark.parametrize("barrier", ["global", "neighbors"])
@pytest.mark.parametrize("mu", [None, 30.0])
@pytest.mark.parametrize(
    # Averages of rounded numbers lie half way between two of them now and then, and rounding errors
    # decide: so there is one round of consensus only where 16 bits are sent.
    ("compressor", "rounds"),
    [(EXACT, 1), (EXACT, 3), (HALF, 1)],
    ids=["one round", "three rounds", "16 bits"],
)
def test_sums_and_counts_are_averaged_and_divided(compressor, rounds, mu, barrier):
    method = ANYTIME | compressor | {"consensus_rounds": rounds, "barrier": barrier}
    simulation = run(method | ({"mu": mu} if mu else {}), rounds=40, **GIVEN)
    w, x, z = mixing(simulation), np.zeros((N, D)), np.zeros((N, D))
    stayed = 0
    for t in range(1, 41):
        b = BATCHES[:, [(t - 1) % 3]]
        m, s = N * b * (z + np.where(b > 0, gradients(x), 0)), N * b.astype(float)
        for _ in range(rounds):
            q = m if compressor is EXACT else half(m)
            m, s = m + w @ q - q, w @ s
        stayed += (s == 0).sum()
        z = np.where(s > 0, m / np.where(s > 0, s, 1), z)
        x = -z / (1 / ALPHA + (np.sqrt((t + 1) / mu) if mu else 0))
    assert stayed == (13 if rounds == 1 else 0)
    np.testing.assert_allclose(models(simulation), x, rtol=0, atol=1e-10)


def test_with_equal_batches_it_is_dsgd_that_adapts_first():
    fields = {"problem": MANY_EACH, "stragglers": speeds(*[4] * N)}
    anytime = run(ANYTIME | EXACT, **fields)
    dsgd = run({"kind": "dsgd", "batch": 4, "order": "adapt-then-combine"} | EXACT, **fields)
    np.testing.assert_allclose(models(anytime), models(dsgd), rtol=0, atol=1e-10)


def test_with_much_consensus_all_samples_weigh_the_same():
    method = ANYTIME | EXACT | {"consensus_rounds": 40}
    found = models(run(method, rounds=12, **(GIVEN | {"topology": "complete"})))
    x = np.zeros(D)
    for t in range(12):
        b = BATCHES[:, t % 3]
        x = x - ALPHA * (b @ gradients(np.tile(x, (N, 1)))) / b.sum()
    np.testing.assert_allclose(found, np.tile(x, (N, 1)), rtol=0, atol=1e-10)


@pytest.mark.parametrize("barrier", ["global", "neighbors"])
def test_a_step_takes_the_deadline_and_a_message_for_each_round_of_consensus(barrier):
    # Messages of 4 numbers and one more, 160 bits: 2 s on the wire and 1 s in it.
    link = {"kind": "dedicated", "bandwidth_bps": 80.0, "latency_s": 1.0}
    method = ANYTIME | {"deadline_s": 4.0, "consensus_rounds": 3, "barrier": barrier}
    trial = simulate(setting(method, link=link, stragglers=speeds(9, 1, 0.1)))
    assert trial.outcome.time_s == pytest.approx(3 * (4 + 3 * 3))
    assert trial.spans("compute", 2) == [(0, 4), (13, 17), (26, 30)]
    assert trial.spans("send", 0)[:3] == [(4, 6), (7, 9), (10, 12)]
    assert set(trial.rows("receive").bits) == {160}
    assert trial.rows("compute", 0).samples.tolist() == [36] * 3
    assert trial.rows("compute", 2).samples.tolist() == [0] * 3


@pytest.mark.parametrize("barrier", ["global", "neighbors"])
def test_a_crash_between_rounds_of_consensus_costs_time_only(barrier):
    # Steps of 1 s and three messages of 2 s; worker 1 goes in the third round of the second step,
    # and worker 2 while worker 1 is away.
    link = {"kind": "dedicated", "bandwidth_bps": float("inf"), "latency_s": 2.0}
    faults = {
        "workers": [
            {"worker": 1, "down_s": 12.5, "up_s": 15.0},
            {"worker": 2, "down_s": 13.5, "up_s": 14.5},
        ]
    }
    method = ANYTIME | EXACT | {"consensus_rounds": 3, "barrier": barrier}
    fields = {"rounds": 8, "link": link, "problem": MANY_EACH}
    fields |= {"stragglers": speeds(*(BATCHES + 0.5).max(1).tolist())}
    crashing, whole = run(method, faults=faults, **fields), run(method, **fields)
    np.testing.assert_allclose(models(crashing), models(whole), rtol=0, atol=1e-12)
    assert crashing.outcome.time_s > whole.outcome.time_s


def test_counts_must_not_become_negative():
    thin = {"mixing": {"kind": "laplacian", "kappa": 3.5}, "topology": "star"}
    with pytest.raises(ScenarioError, match=r"anytime-minibatch: W has an entry w_ii = -0.4286"):
        run(ANYTIME, **thin)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"expected_batch": 20.0}, "give exactly one of them"),
        ({"consensus_rounds": 0}, "greater than or equal to 1"),
        ({"mu": 0.0}, "greater than 0"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, said):
    step = {"step_size": {"kind": "constant", "alpha": 0.1}}
    with pytest.raises(ValueError, match=said):
        Algorithm.parse(ANYTIME | step | changes)
