"""Metrics: what each promises, and each against numpy or a count by hand."""

import re

import numpy as np
import pytest
import torch
from builders import examples, label, models, problem, setting, simulate, speeds

from desim.engine.simulation import Simulation
from desim.errors import SimulationError
from desim.metrics.base import Metric
from desim.scenario.stopping import Evaluate, Stop, measured
from desim.schema.registry import members
from desim.schema.results import INDEX
from desim.tensors.problem import Problem

METRICS = examples("metrics")
#: What every trial measures, in the order of its columns.
STANDARD = [
    "round",
    "steps",
    "samples",
    "bits_sent",
    "train_loss",
    "test_loss",
    "test_accuracy",
    "grad_norm_sq",
    "consensus_error",
]
ALL = {"every_rounds": 1, "metrics": tuple(METRICS)}
DIGITS = Problem(dataset="digits", model={"kind": "mlp", "hidden": [4]}, samples_per_worker=20)
DSGD = {"kind": "dsgd", "batch": 4}


def last(method, *, train=True, **changes):
    """The last evaluation, with all metrics that there are."""
    fields = {"evaluate": ALL, "problem": DIGITS} | changes
    simulation = Simulation(setting(method, **fields), train=train)
    return simulation, simulation.run().rows[-1]


@pytest.mark.parametrize("metric", METRICS, ids=label)
def test_it_has_a_column_and_says_what_it_is(metric):
    column = metric.column()
    assert re.fullmatch(r"[a-z][a-z0-9_]*", column.name)
    assert column.name not in INDEX
    assert column.title == column.title.strip() != ""
    assert column.good in ("low", "high", None)
    assert Metric.parse(metric.table()) == metric


def test_columns_differ_and_the_standard_ones_come_in_their_order():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    found = measured(Evaluate(every_rounds=1), Stop(rounds=1))
    assert [metric.name for metric in found] == STANDARD


def test_without_training_those_of_the_clock_are_measured_and_no_others():
    _, row = last(DSGD, train=False)
    for metric in METRICS:
        assert np.isnan(row[metric.name]) != metric.clock, metric.name
    _, trained = last(DSGD)
    clocks = [metric.name for metric in METRICS if metric.clock]
    assert [row[name] for name in clocks] == [trained[name] for name in clocks]
    assert all(np.isfinite(trained[metric.name]) for metric in METRICS)


def test_of_the_workers_own_models_by_numpy():
    """On a quadratic all is known: the loss of worker i is mean_s h (x_i - theta_s)^2 / 2."""
    given = problem(samples=60, parameters=3, dtype="float64")
    simulation, row = last(DSGD, problem=given, workers=5)
    x, data = models(simulation), simulation._record._task.train_x.numpy()
    curvatures = np.logspace(-np.log10(given.model.condition), 0, 3)
    losses = (curvatures * (x[:, None] - data) ** 2 / 2).sum(2).mean(1)
    assert row["worst_worker_loss"] == pytest.approx(losses.max(), rel=1e-12)
    assert row["worker_loss_spread"] == pytest.approx(np.ptp(losses), rel=1e-9)
    assert row["consensus_error"] == pytest.approx(((x - x.mean(0)) ** 2).sum(1).mean())
    assert np.isnan(row["worst_worker_accuracy"])


def test_the_worst_accuracy_is_no_better_than_any_workers():
    simulation, row = last(DSGD | {"batch": 1}, stop={"rounds": 6})
    task, accuracies = simulation._record._task, []
    for x in models(simulation):
        parameters = task.objective.unpack(simulation.tape.kernels.store.data.new_tensor(x))
        found = task.objective.outputs(parameters, task.test_x).argmax(1)
        accuracies.append(float((found == task.test_y).float().mean()))
    assert row["worst_worker_accuracy"] == pytest.approx(min(accuracies))


def test_empty_batches_and_samples_per_round_by_hand():
    """Until 1.5 s a worker of 4 samples/s gets through 6, of 1 through 1, of 0.5 through none."""
    method = {"kind": "quantimed-dsgd", "deadline_s": 1.5}
    _, row = last(method, train=False, stragglers=speeds(4, 1, 0.5), stop={"rounds": 4})
    assert row["empty_batches"] == pytest.approx(1 / 3)
    assert row["samples_per_round"] == pytest.approx(7)
    assert (row["samples"], row["round"], row["steps"]) == (28, 4, 12)


@pytest.mark.parametrize(
    ("method", "mean", "largest"),
    [
        (DSGD, 0, 0),
        ({"kind": "sync-sgd", "batch": 4}, 0, 0),
        # Four equal workers, one after another: each gradient misses the three others' steps, but
        # for the first three gradients, which miss none, one and two.
        ({"kind": "async-sgd", "batch": 4}, (0 + 1 + 2 + 3 * 37) / 40, 3),
        # A buffer of two: a client's model is given between two steps of the server.
        ({"kind": "fedbuff", "batch": 4, "buffer": 2}, None, 2),
        ({"kind": "ad-psgd", "batch": 4}, None, None),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else str(value),
)
def test_staleness_by_hand(method, mean, largest):
    _, row = last(method, train=False, workers=4, stop={"rounds": 10})
    if mean is not None:
        assert row["staleness_mean"] == pytest.approx(mean, abs=0.1)
    if largest is not None:
        assert row["staleness_max"] == largest
    if method["kind"] == "ad-psgd":  # partners' averages come between, now and then
        assert row["staleness_max"] >= 1
    assert 0 <= row["staleness_mean"] <= row["staleness_max"]


def test_metrics_are_measured_only_where_they_are_asked_for():
    plain = simulate(setting(DSGD)).outcome.rows[-1]
    assert list(plain.values) == STANDARD
    with pytest.raises(SimulationError, match=r"row\['worst-worker-loss'\]: isn't measured .*; "):
        plain["worst-worker-loss"]
    assert plain["bits-sent"] == plain["bits_sent"] == plain.bits_sent


def test_two_metrics_of_one_column_are_refused():
    class Steps(Metric):
        def value(self, evaluation):
            return 0.0

    with pytest.raises(ValueError, match="the results have another column 'steps'; give it a lab"):
        measured(Evaluate(every_rounds=1, metrics=(Steps(),)), Stop(rounds=1))
    labelled = Steps(label="my steps")
    found = measured(Evaluate(every_rounds=1, metrics=(labelled,)), Stop(rounds=1))
    assert found[-1].column().name == "my_steps"
    assert found[-1].column().title == "my steps"


def test_a_class_of_ones_own_is_named_in_words():
    names = {"WorstLoss": "worst_loss", "MyHTTPMetric": "my_http_metric", "loss2": "loss2"}
    for name, column in names.items():
        made = type(name, (Metric,), {"value": lambda self, evaluation: 0.0})
        assert made().name == column


def test_every_member_is_in_the_list():
    assert {metric.kind for metric in METRICS} == set(members("metrics"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, 3),
        (np.float32(0.5), 0.5),
        (torch.tensor(0.25), 0.25),
        (np.nan, np.nan),
        ("3", None),
        (None, None),
        (torch.zeros(2), None),
        (True, 1.0),
    ],
    ids=str,
)
def test_what_a_metric_of_ones_own_gives_is_a_number_or_refused(value, expected):
    class Mine(Metric):
        def value(self, evaluation):
            return value

    if expected is None:
        with pytest.raises(SimulationError, match=r"Mine.*`value` gives .*; must be a number"):
            last(DSGD, evaluate={"every_rounds": 1, "metrics": (Mine(),)})
    else:
        _, row = last(DSGD, evaluate={"every_rounds": 1, "metrics": (Mine(),)})
        assert row["mine"] == expected or np.isnan(expected)


def test_a_metric_may_change_what_it_is_given_and_nothing_else_does():
    """Models and their mean are copies: training and other metrics go on as if nothing were."""

    class Spoiler(Metric):
        def value(self, evaluation):
            evaluation.models.zero_()
            evaluation.mean.fill_(1e9)
            return 0.0

    def rows(metrics):
        method = {"kind": "dsgd", "batch": 4}
        evaluate = {"every_rounds": 1, "metrics": metrics}
        return Simulation(setting(method, problem=DIGITS, evaluate=evaluate)).run().rows

    plain, spoilt = rows(()), rows((Spoiler(),))
    for before, after in zip(plain, spoilt, strict=True):
        assert [after[name] for name in STANDARD] == [before[name] for name in STANDARD]


def test_what_a_bundled_metric_says_of_itself_is_not_inherited():
    class Percent(members("metrics")["test-accuracy"]):
        def value(self, evaluation):
            return 100 * super().value(evaluation)

    column = Percent().column()
    assert (column.name, column.title, column.good) == ("percent", "percent", "high")
    assert not column.standard
    with pytest.raises(TypeError, match=r"Odd\.good = 'up': must be 'low', 'high' or None"):
        type("Odd", (Metric,), {"good": "up", "value": lambda self, evaluation: 0.0})


def test_one_of_the_clock_that_looks_at_models_is_told_why_it_cannot():
    class Hasty(Metric):
        clock = True

        def value(self, evaluation):
            return float(evaluation.models.sum())

    with pytest.raises(SimulationError, match=r"clock = True may look at evaluation\.counts only"):
        last(DSGD, train=False, evaluate={"every_rounds": 1, "metrics": (Hasty(),)})
