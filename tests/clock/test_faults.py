"""Crashes, churn and links that fail: what is lost, who waits, and that nothing hangs."""

from itertools import count

import numpy as np
import pandas as pd
import pytest
from builders import models, problem, setting, simulate
from faulty import ALL, LINKS, RANDOM, SKIPPING, SLOW_MEMORY, WAITING, assert_conserved, run

from desim.algorithms.base import Algorithm
from desim.errors import SimulationError
from desim.worker.simulated import SimulatedWorker


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link["kind"])
@pytest.mark.parametrize("method", ALL, ids=str)
def test_every_message_is_delivered_lost_by_a_rule_or_under_way(method, link):
    trial = run(method, RANDOM, link=link)
    assert trial.outcome.stopped_by == "rounds"
    assert_conserved(trial, medium=link["kind"] == "shared-medium")
    # Nothing arrives at a worker that is away, and nobody computes while away.
    away = trial.rows("down")
    assert len(away) > 0
    busy = trial.timeline[trial.timeline.kind.isin(["receive", "compute"])]
    for row in away.itertuples():
        rows = busy[busy.worker == row.worker]
        at = rows.end_s[(rows.end_s > row.start_s) & (rows.end_s < row.end_s)]
        assert at.empty


@pytest.mark.parametrize("method", ALL, ids=str)
def test_a_seed_gives_the_same_intervals(method):
    first, second = (run(method, RANDOM, link=LINKS[k]) for k in (2, 2))
    pd.testing.assert_frame_equal(first.timeline, second.timeline, check_exact=True)
    other = run(method, RANDOM, link=LINKS[2], seed=2)
    assert not first.timeline.equals(other.timeline)


@pytest.mark.parametrize("method", [*WAITING[:2], *SKIPPING], ids=str)
def test_rows_of_the_effective_mixing_matrix_sum_to_one(method, monkeypatch):
    rows = []
    mix = SimulatedWorker.mix

    def noted(self, own, neighbours):
        mixed = yield from mix(self, own, neighbours)
        rows.append(mixed.flat()[1])
        return mixed

    monkeypatch.setattr(SimulatedWorker, "mix", noted)
    trial = run(method, RANDOM, link=LINKS[0], train=True)
    assert len(rows) >= 15
    for row in rows:
        assert min(row) > 0
        assert sum(row) == pytest.approx(1.0, abs=1e-14)
    if method.get("absent") == "skip" and method["kind"] != "async-dsgd":
        assert {len(row) for row in rows} > {4}  # some averages lacked a neighbour
    assert np.isfinite(trial.outcome.rows[-1]["train_loss"])


@pytest.mark.parametrize("barrier", ["global", "neighbors"])
@pytest.mark.parametrize("method", [WAITING[0], WAITING[3]], ids=lambda m: m["kind"])
def test_waiting_for_the_crashed_costs_time_only(method, barrier):
    # Draws are named by steps, so what is done again is the same, and so are all models.
    double = problem(dtype="float64")
    fields = {"train": True, "problem": double, "evaluate": {"every_rounds": 5}}
    method = method | {"barrier": barrier}
    whole, crashing = (run(method, faults, **fields) for faults in (None, RANDOM))
    assert crashing.outcome.time_s > whole.outcome.time_s
    if barrier == "global":
        np.testing.assert_allclose(
            models(crashing.simulation), models(whole.simulation), rtol=0, atol=1e-12
        )


def test_a_crash_costs_what_was_being_computed_and_a_return_begins_it_anew():
    # One sample a second, batches of 5: worker 1 crashes in its second gradient, at 7 s.
    faults = {"workers": [{"worker": 1, "down_s": 7.0, "up_s": 8.5}]}
    trial = simulate(setting({"kind": "dsgd", "batch": 5}, faults=faults))
    assert trial.spans("compute", 1) == [(0, 5), (5, 7), (8.5, 13.5), (13.5, 18.5)]
    assert trial.rows("compute", 1).samples.tolist() == [5, 0, 5, 5]
    assert trial.spans("down", 1) == [(7, 8.5)]
    assert trial.spans("wait", 0) == [(10, 13.5)]
    assert trial.outcome.time_s == 18.5


def test_a_worker_that_joins_late_is_waited_for_or_left_out():
    faults = {"workers": [{"worker": 2, "down_s": 0.0, "up_s": 20.0}]}
    wait = simulate(setting({"kind": "dsgd", "batch": 5}, faults=faults))
    assert wait.spans("compute", 0) == [(0, 5), (25, 30), (30, 35)]
    skip = {"kind": "dsgd", "batch": 5, "absent": "skip", "timeout_s": 1.0}
    trial = simulate(setting(skip, faults=faults, stop={"rounds": 6}))
    # Rounds of 6 s without it, then of 5 s; it joins the fourth in the middle.
    assert trial.spans("compute", 0)[:4] == [(0, 5), (6, 11), (12, 17), (18, 23)]
    assert trial.spans("down", 2) == [(0, 20)]
    assert trial.spans("compute", 2)[0] == (20, 25)
    assert trial.rows("compute", 2).step.iloc[0] == 0
    # In step from then on.
    late = [span for span in trial.spans("compute", 0) if span[0] > 24]
    assert late[0] == (25, 30)
    assert trial.spans("compute", 2)[1:] == late


@pytest.mark.parametrize("barrier", ["global", "neighbors"])
def test_who_comes_back_joins_the_round_that_the_others_are_in(barrier):
    faults = {"workers": [{"worker": 0, "down_s": 7.0, "up_s": 101.0}]}
    method = {"kind": "dsgd", "batch": 5, "absent": "skip", "timeout_s": 3.0, "barrier": barrier}
    trial = simulate(
        setting(method, workers=5, topology="complete", faults=faults, stop={"time_s": 200.0})
    )
    steps = [worker.steps for worker in trial.simulation.workers]
    assert len(set(steps[1:])) == 1
    # It is away for 12 rounds of 8 s, and then as fast as the others, who no longer wait for it.
    assert 10 <= steps[1] - steps[0] <= 12
    last = trial.rows("compute")
    last = last[last.start_s > 150]
    assert last.groupby("start_s").size().eq(5).all()
    assert set(np.diff(sorted(last.start_s.unique()))) == {5.0}


def test_a_worker_that_leaves_stalls_those_who_wait_for_it():
    faults = {"workers": [{"worker": 1, "down_s": 7.0}]}
    for stop in ({"rounds": 5}, {"rounds": 5, "time_s": 100.0}):
        outcome = run({"kind": "dsgd", "batch": 5}, faults, stop=stop).outcome
        assert outcome.stopped_by == "stalled"
        assert "waits for" in outcome.stalled
        assert outcome.stalled.endswith("; 1 away")
        assert outcome.rows[-1].time_s == outcome.time_s
    skip = {"kind": "dsgd", "batch": 5, "absent": "skip", "timeout_s": 2.0}
    assert run(skip, faults).outcome.stopped_by == "rounds"
    assert run({"kind": "async-dsgd", "batch": 5}, faults).outcome.stopped_by == "rounds"


def test_a_cluster_that_never_ends_a_step_is_given_up():
    # Gradients of 50 s, crashes every second.
    faults = {"workers": {"mean_up_s": 1.0, "mean_down_s": 1.0}}
    outcome = run({"kind": "dsgd", "batch": 50}, faults, stragglers="none", stop={"rounds": 2})
    assert outcome.outcome.stopped_by == "stalled"
    assert "no worker has ended a step while they came back" in outcome.outcome.stalled


def test_a_crash_between_the_barrier_and_the_end_of_a_round_hangs_nobody():
    # All average from 5 to 7 s; the others wait for worker 1's next model, not at the barrier.
    fields = {"workers": 4, "topology": "complete"} | SLOW_MEMORY | {"stragglers": "none"}
    memory = {"speed_sps": 1.0, "memory_bytes_per_s": 4 * 4 * 5 / 2.0}
    faults = {"workers": [{"worker": 1, "down_s": 6.0, "up_s": 8.0}]}
    fields |= {"hardware": memory, "link": {"kind": "dedicated", "bandwidth_bps": float("inf")}}
    trial = run({"kind": "dsgd", "batch": 5}, faults, **fields, stop={"rounds": 2})
    # It does its first round again from 8 s on, up to its average at 15 s.
    assert trial.spans("average", 1) == [(5.0, 6.0), (13.0, 15.0), (20.0, 22.0)]
    assert trial.outcome.stopped_by == "rounds"


def test_links_that_never_carry_a_message_end_the_trial():
    # A message takes 100 s, and links fail every second.
    faults = {"links": {"mean_up_s": 1.0, "mean_down_s": 1.0}}
    link = {"kind": "dedicated", "bandwidth_bps": 1.28}
    trial = simulate(setting({"kind": "dsgd", "batch": 5}, link=link, faults=faults))
    assert trial.outcome.stopped_by == "stalled"
    assert "no worker has ended a step while 601 messages were lost" in trial.outcome.stalled


@pytest.mark.parametrize("sampling", ["replacement", "epochs"])
def test_what_is_done_again_has_the_same_samples(sampling):
    fields = {"train": True, "problem": problem(dtype="float64", sampling=sampling)}
    whole, crashing = (run(WAITING[0], faults, **fields) for faults in (None, RANDOM))
    np.testing.assert_allclose(
        models(crashing.simulation), models(whole.simulation), rtol=0, atol=1e-12
    )


def test_models_that_missed_an_absent_worker_dont_follow_it_for_ever():
    faults = {"workers": [{"worker": 0, "down_s": 10.0, "up_s": 400.0}]}
    method = {"kind": "dsgd", "batch": 5, "barrier": "neighbors"}
    trial = run(method | {"absent": "skip", "timeout_s": 1.0}, faults, stop={"time_s": 420.0})
    got = trial.rows("receive", 0)
    # Three neighbours' models of a round or two, not those of all the rounds that it missed.
    assert len(got[(got.start_s >= 390) & (got.end_s < 403)]) < 10
    assert trial.simulation.network.given_up > 100


class Forgets(Algorithm):
    """Goes on after a timeout, and doesn't say that it does."""

    def worker(self, me):
        yield from me.compute(me.initial_model(), 1)
        yield from me.gather(tag=0, timeout_s=1.0)


class CountsForItself(Algorithm):
    """Takes its tags from a counter of its own, which begins anew after a crash."""

    def worker(self, me):
        for t in count():
            yield from me.compute(me.initial_model(), 1)
            me.broadcast((yield from me.compress(me.model)), tag=t)
            yield from me.gather(tag=t)
            me.commit(me.model)


def test_methods_that_cannot_live_with_faults_are_told_how():
    step = {"kind": "constant", "alpha": 1.0}
    with pytest.raises(SimulationError, match="give its class `skips"):
        simulate(setting(Forgets(step_size=step)))
    faults = {"workers": [{"worker": 1, "down_s": 4.5, "up_s": 5.0}]}
    with pytest.raises(SimulationError, match=r"take the tags from me.rounds\(\)"):
        simulate(setting(CountsForItself(step_size=step), faults=faults, stop={"rounds": 9}))


def test_the_mean_of_iterates_begins_anew_with_the_model():
    outage = {"workers": [{"worker": 0, "down_s": 501.0, "up_s": 502.0}], "model": "reset"}
    fields = {"train": True, "evaluate": {"every_s": 100.0, "iterate": "average"}}
    trial = run(WAITING[1], outage, **fields, stop={"time_s": 900.0})
    # Wrongly weighed, the initial model would keep worker 0 away from the others' mean.
    assert trial.outcome.rows[-1]["consensus_error"] < 0.02


def test_a_crash_resets_the_model_if_asked():
    method = {"kind": "dsgd", "batch": 5, "barrier": "neighbors", "absent": "skip"}
    outage = {"workers": [{"worker": 0, "down_s": 61.0, "up_s": 62.0}]}
    distances = {}
    for model in ("keep", "reset"):
        trial = simulate(
            setting(
                method | {"timeout_s": 0.5},
                faults=outage | {"model": model},
                problem=problem(dtype="float64"),
                stop={"time_s": 64.0},
            ),
            train=True,
        )
        found = models(trial.simulation)
        distances[model] = np.abs(found[0] - found[1:].mean(0)).max()
    assert distances["keep"] < 0.1 * distances["reset"]


def test_a_link_that_fails_delays_its_messages_until_it_works_again():
    faults = {"links": [{"between": [0, 1], "down_s": 4.0, "up_s": 8.5}]}
    trial = simulate(setting({"kind": "dsgd", "batch": 5}, faults=faults))
    lost = trial.rows("drop")
    assert sorted(zip(lost.worker, lost.peer, strict=True)) == [(0, 1), (1, 0)]
    # Lost at 5 s, sent again a second later at the earliest and whole seconds after that.
    got = trial.rows("receive")
    late = got[(got.step == 0) & (got.end_s > 5)]
    assert late.end_s.tolist() == [9.0, 9.0]
    assert trial.outcome.time_s == 9 + 5 + 5


@pytest.mark.parametrize("link", LINKS[:1] + LINKS[2:], ids=lambda link: link["kind"])
def test_lost_messages_are_sent_again_until_they_arrive(link):
    link = link | {"loss": 0.3, "resend_after_s": 0.5}
    trial = run({"kind": "dsgd", "batch": 5}, None, link=link, stop={"rounds": 200})
    got, lost = trial.rows("receive"), trial.rows("drop")
    assert len(got) == 200 * 6 * 3
    # The standard deviation of the share among 3,600 / 0.7 tries is 0.0064.
    assert len(lost) / (len(got) + len(lost)) == pytest.approx(0.3, abs=5 * 0.0064)
    assert (got.groupby(["worker", "peer", "step"]).size() == 1).all()
