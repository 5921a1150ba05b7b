"""[stop]: each rule ends a trial at the right place."""

import pytest
from builders import examples, label, problem, setting, simulate, speeds

from desim.engine.simulation import Simulation
from desim.errors import SimulationError
from desim.scenario.stopping import Stop
from desim.stops.base import StopRule
from desim.tensors.problem import Problem

DSGD = {"kind": "dsgd", "batch": 2}
ASYNC = {"kind": "async-dsgd", "batch": 2}


def ended(method, stop, **changes):
    trial = simulate(setting(method, stop=stop, **changes))
    return trial.outcome, trial.outcome.rows[-1]


def test_time_ends_at_that_instant_in_the_middle_of_a_round():
    outcome, last = ended(DSGD, {"time_s": 5.25})
    assert (outcome.stopped_by, outcome.time_s, last.time_s) == ("time_s", 5.25, 5.25)
    assert last.round == 2


def test_time_that_ends_with_a_round_includes_it():
    outcome, last = ended(DSGD, {"time_s": 6.0})
    assert (outcome.time_s, last.round, len(outcome.rows)) == (6, 3, 2)


def test_rounds_end_with_the_last_step_of_the_last_worker():
    outcome, last = ended(DSGD, {"rounds": 4})
    assert (outcome.stopped_by, outcome.time_s) == ("rounds", 8)
    assert (last.round, last.steps, last.time_s) == (4, 12, 8)


def test_rounds_of_an_asynchronous_method_are_mean_steps():
    # Steps end at 1, 2, 3, ... at worker 0, and at 10, 20, ... at the others: 12 steps (4 on
    # average) have been made at 10, by the second of the three that end one then.
    outcome, last = ended(ASYNC, {"rounds": 4}, stragglers=speeds(2, 0.2, 0.2))
    assert (outcome.stopped_by, outcome.time_s) == ("rounds", 10)
    assert (last.round, last.steps) == (4, 12)


@pytest.mark.parametrize("steps", [1, 5, 6, 7])
@pytest.mark.parametrize("method", [DSGD, ASYNC], ids=lambda m: m["kind"])
def test_steps_end_at_exactly_that_number(method, steps):
    outcome, last = ended(method, {"steps": steps}, evaluate={"every_rounds": 1})
    assert (outcome.stopped_by, last.steps) == ("steps", steps)
    # All workers are equally fast: step 1 to 3 end at 2, steps 4 to 6 at 4, ...
    assert outcome.time_s == 2 * -(-steps // 3)
    # No two evaluations are of the same moment, and none comes after the end.
    assert [row.steps for row in outcome.rows] == [*range(0, steps, 3), steps]


def test_the_first_rule_that_is_reached_ends_the_trial():
    assert ended(DSGD, {"rounds": 3, "time_s": 5.0})[0].stopped_by == "time_s"
    assert ended(DSGD, {"rounds": 2, "time_s": 5.0})[0].stopped_by == "rounds"
    assert ended(DSGD, {"rounds": 2, "steps": 5})[0].stopped_by == "steps"
    assert ended(DSGD, {"rounds": 2, "steps": 7})[0].stopped_by == "rounds"


def test_a_target_loss_ends_at_the_first_evaluation_that_reaches_it():
    # One sample each, theta; the model starts at 0 and everyone averages: the mean model goes
    # geometrically towards the mean of all theta, so that losses fall at every evaluation.
    def run(target):
        return simulate(
            setting(
                DSGD,
                problem=problem(samples=3, samples_per_worker=1, dtype="float64"),
                stop={"rounds": 40, "target_train_loss": target},
                evaluate={"every_rounds": 2},
            ),
            train=True,
        ).outcome

    whole = run(-1.0)
    losses = [row["train_loss"] for row in whole.rows]
    assert whole.stopped_by == "rounds"
    assert losses == sorted(losses, reverse=True)
    between = (losses[4] + losses[5]) / 2
    outcome = run(between)
    assert outcome.stopped_by == "target_train_loss"
    assert outcome.rows[-1].round == 10
    assert outcome.time_s == 20
    assert [row["train_loss"] for row in outcome.rows] == losses[:6]
    # "Reached" includes equality.
    assert run(losses[5]).rows[-1].round == 10


def test_a_target_that_the_initial_model_reaches_ends_at_once():
    outcome = simulate_train({"rounds": 40, "target_train_loss": 1e9})
    assert (outcome.stopped_by, outcome.time_s, len(outcome.rows)) == ("target_train_loss", 0, 1)


def test_a_loss_that_overflows_ends_as_diverged():
    outcome = simulate_train({"rounds": 400}, {"alpha": 1e10}, {"every_rounds": 1})
    assert outcome.stopped_by == "diverged"
    assert outcome.diverged_at_s == outcome.rows[-1].time_s == outcome.time_s
    assert outcome.rows[-1].round < 400


def simulate_train(stop, step=None, evaluate=None):
    from desim.engine.simulation import Simulation

    method = DSGD | {"step_size": {"kind": "constant", "alpha": 0.1} | (step or {})}
    return Simulation(setting(method, stop=stop, evaluate=evaluate)).run()


def test_a_target_may_be_of_any_metric_in_its_good_direction():
    digits = Problem(dataset="digits", model="softmax", samples_per_worker=50)
    fields = {"problem": digits, "evaluate": {"every_rounds": 1}}

    def run(**stop):
        method = DSGD | {"batch": 20, "step_size": {"kind": "constant", "alpha": 0.5}}
        return Simulation(setting(method, stop={"rounds": 40} | stop, **fields)).run()

    accuracies = [row["test_accuracy"] for row in run().rows]
    value = sorted(accuracies)[20]
    outcome = run(target={"metric": "test-accuracy", "value": value})
    first = next(k for k, accuracy in enumerate(accuracies) if accuracy >= value)
    assert outcome.stopped_by == "target_test_accuracy"
    assert len(outcome.rows) == first + 1
    # The old key means the same as the new one for the training loss.
    by_key, by_table = (
        run(**stop)
        for stop in (
            {"target_train_loss": 1.0},
            {"target": {"metric": "train-loss", "value": 1.0}},
        )
    )
    assert by_key.stopped_by == by_table.stopped_by == "target_train_loss"
    assert by_key.rows == by_table.rows


def test_a_count_as_a_target_needs_its_direction():
    stop = {"rounds": 9, "target": {"metric": "bits-sent", "value": 1500.0, "when": "above"}}
    # Three workers send 4 numbers of 32 bits to two neighbours each round: 768 bits.
    outcome, last = ended(DSGD, stop, evaluate={"every_rounds": 1})
    assert (outcome.stopped_by, last.round, last.bits_sent) == ("target_bits_sent", 2, 1536)
    with pytest.raises(ValueError, match="neither low nor high is good; give when = 'above'"):
        Stop(rounds=9, target={"metric": "bits-sent", "value": 1500.0})


def test_a_target_of_a_metric_that_was_not_asked_for_is_measured():
    target = {"metric": "empty-batches", "value": 0.0}
    outcome, last = ended(DSGD, {"rounds": 9, "target": target}, evaluate={"every_rounds": 1})
    assert (outcome.stopped_by, last["empty_batches"]) == ("target_empty_batches", 0.0)


@pytest.mark.parametrize("rule", examples("stops"), ids=label)
def test_every_rule_ends_a_trial_and_its_table_gives_it_back(rule):
    assert StopRule.parse(rule.table()) == rule
    outcome = Simulation(setting(DSGD, stop={"rounds": 200, "rules": (rule,)})).run()
    assert outcome.stopped_by in (rule.name, "rounds")
    if rule.kind != "target":
        assert outcome.stopped_by == rule.name


def test_rules_by_name_are_those_of_the_keys():
    for key, rule in (
        ({"time_s": 5.25}, {"kind": "time", "time_s": 5.25}),
        ({"steps": 5}, {"kind": "steps", "steps": 5}),
        ({"rounds": 2}, {"kind": "rounds", "rounds": 2}),
    ):
        assert ended(DSGD, key)[0].rows == ended(DSGD, {"rules": (rule,)})[0].rows


def test_a_trial_needs_a_rule_that_ends_it_for_certain():
    with pytest.raises(ValueError, match="must have time_s, rounds or steps, since a target may"):
        Stop(rules=({"kind": "target", "metric": "train-loss", "value": 1.0},))
    with pytest.raises(ValueError, match="give it or target; a second target can stand in rules"):
        Stop(rounds=1, target_train_loss=1.0, target={"metric": "train-loss", "value": 1.0})


def test_a_rule_that_says_neither_true_nor_false_is_refused():
    class Forgetful(StopRule):
        def reached(self, rows):
            len(rows) > 3  # noqa: B015  (as written without `return`)

    with pytest.raises(SimulationError, match="`reached` gives None; must be True or False"):
        ended(DSGD, {"rounds": 2, "rules": (Forgetful(),)})


@pytest.mark.parametrize(
    ("method", "given", "rule"),
    [
        ("at_time_s", float("nan"), "at_time_s gives nan; must be a positive number"),
        ("at_time_s", -5.0, r"at_time_s gives -5\.0; must be a positive number"),
        ("at_time_s", None, "at_time_s gives None; must be a positive number"),
        ("at_steps", "5", "at_steps gives '5'; must be a positive number"),
        ("metrics", ["train-loss"], "`metrics` must give metrics"),
    ],
)
def test_a_limit_of_ones_own_that_is_none_is_refused(method, given, rule):
    made = type("Odd", (StopRule,), {method: lambda self, *_: given})
    with pytest.raises(ValueError, match=rule):
        Stop(rounds=2, rules=(made(),))
