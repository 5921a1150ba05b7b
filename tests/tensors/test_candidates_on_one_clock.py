"""Candidates that share a clock give, bit for bit, what each gives alone."""

import json
from itertools import count
from pathlib import Path

import pytest
from builders import UNIT_SPEED, setting
from builders import problem as quadratic
from study.tiny import tiny
from test_batched_equals_one_by_one import CLUSTER, METHODS, UNEQUAL, WORKERS, problem

import desim
from desim.algorithms.base import Algorithm
from desim.engine.simulation import Simulation
from desim.errors import NonFiniteError
from desim.step_sizes.constant import Constant
from desim.tuning.candidates import NotOneNumberError
from desim.tuning.shared_clock import SharedClock

STEP_SIZES = [Constant(alpha=0.1), Constant(alpha=0.3, epsilon=0.8), Constant(alpha=1.5)]


def assert_as_alone(trial_of, step_sizes):
    together = SharedClock(trial_of(step_sizes[0]), step_sizes).run_all()
    alone = [Simulation(trial_of(step_size)).run() for step_size in step_sizes]
    # Texts, since a loss that is nan differs from itself; a float's text has all of its bits.
    assert [repr(outcome) for outcome in together] == [repr(outcome) for outcome in alone]
    return together


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_every_method_gives_the_outcome_of_a_trial_alone(method):
    def trial_of(step_size):
        return setting(
            method | {"step_size": step_size},
            workers=WORKERS,
            topology={"kind": "erdos-renyi", "p": 0.5},
            stragglers=CLUSTER,
            link=UNEQUAL,
            stop={"rounds": 8},
            evaluate={"every_rounds": 3},
            problem=problem(),
            seed=4,
        )

    outcomes = assert_as_alone(trial_of, STEP_SIZES)
    assert len({outcome.rows[-1]["train_loss"] for outcome in outcomes}) == 3


@pytest.mark.parametrize("evaluate", [{"every_rounds": 3}, {"every_s": 7.0}], ids=str)
@pytest.mark.parametrize("kind", ["dsgd", "async-dsgd"])
def test_candidates_end_on_their_own(kind, evaluate):
    """One diverges, one reaches the target, one goes on to the end of the clock."""

    def trial_of(step_size):
        return setting(
            {"kind": kind, "batch": 2, "step_size": step_size},
            stop={"rounds": 300, "target_train_loss": 1e-6},
            evaluate=evaluate,
            problem=quadratic(
                dataset={"kind": "quadratic", "samples": 30, "dimension": 4, "spread": 0.0}
            ),
        )

    steps = [Constant(alpha=30.0), Constant(alpha=0.5), Constant(alpha=1e-4)]
    outcomes = assert_as_alone(trial_of, steps)
    assert [o.stopped_by for o in outcomes] == ["diverged", "target_train_loss", "rounds"]


def test_the_clock_stops_when_no_candidate_is_left():
    trial = setting(
        {"kind": "dsgd", "batch": 2},
        stop={"rounds": 10_000, "target_train_loss": 1e-3},
        evaluate={"every_rounds": 1},
        stragglers=UNIT_SPEED,
        problem=quadratic(
            dataset={"kind": "quadratic", "samples": 30, "dimension": 4, "spread": 0.0}
        ),
    )
    simulation = SharedClock(trial, [Constant(alpha=0.5), Constant(alpha=0.9)])
    simulation.run_all()
    assert simulation.outcome.rows[-1].round < 20


class Momentum(Algorithm):
    """What a user's algorithm may do with its step size."""

    def worker(self, me):
        alpha, epsilon = me.step_size(), me.consensus_step()
        x, velocity = me.initial_model(), 0.0 * me.initial_model()
        for t in count():
            gradient = yield from me.compute(x, 2)
            velocity = me.record(0.9 * velocity + gradient / (1 + alpha))
            step = me.map(lambda rows: rows.clamp(-1, 1), velocity)
            me.broadcast((yield from me.compress(x)), tag=t)
            received = yield from me.gather(tag=t)
            mixed = yield from me.mix(x, received)
            x = (1 - epsilon) * x + epsilon * mixed - 2 * alpha**0.5 / 3 * step
            me.commit(x)


def test_one_whose_message_is_not_finite_ends_alone(tmp_path, monkeypatch):
    algorithm = {"kind": "q-dsgd", "batch": 2, "compressor": "sign"}
    given = setting(algorithm, problem=quadratic(), stop={"rounds": 60})
    sizes = [Constant(alpha=alpha) for alpha in (0.1, 1e30)]
    with pytest.raises(NonFiniteError, match="'s message"):
        SharedClock(given, sizes).run_all()
    # A search then runs them one by one.
    monkeypatch.chdir(tmp_path)
    table = tiny(
        {
            "problem": {
                "dataset": {"kind": "quadratic", "samples": 20, "dimension": 3},
                "model": "quadratic",
            },
            "algorithms": [algorithm | {"step_size": {"kind": "constant", "alpha": 0.1}}],
            "stop": {"rounds": 60},
            "evaluate": {"every_rounds": 60},
        }
    )
    desim.tune(desim.from_table(table), "tuned", grid=desim.Grid(3, 0, 0.1, 1e30), jobs=1)
    ended = [json.loads(path.read_text()) for path in Path("tuned").rglob("trials/*/manifest.json")]
    assert sorted(manifest["status"] for manifest in ended) == ["diverged", "diverged", "finished"]


def test_arithmetic_of_a_users_own():
    assert_as_alone(
        lambda step_size: setting(Momentum(step_size=step_size), stop={"rounds": 20}), STEP_SIZES
    )


class NeedsANumber(Momentum):
    """An algorithm whose clock depends on its step size."""

    def worker(self, me):
        alpha = me.step_size()
        if alpha > 0.2:
            yield from me.barrier()
        yield from super().worker(me)


def test_an_algorithm_that_needs_one_number_says_so():
    trial = setting(NeedsANumber(step_size=STEP_SIZES[0]))
    with pytest.raises(NotOneNumberError, match="one number per candidate"):
        SharedClock(trial, STEP_SIZES).run_all()
