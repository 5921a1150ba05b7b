"""`evaluate.optimum` finds the smallest training loss that there is."""

import numpy as np
import pytest
import torch
from builders import problem, setting
from sklearn.linear_model import LogisticRegression
from torch import nn

from desim.engine.simulation import Simulation
from desim.errors import ModelError
from desim.tensors import optimum
from desim.tensors.problem import Problem

DSGD = {"kind": "dsgd", "batch": 4}


def outcome(given, workers=5):
    return Simulation(
        setting(DSGD, workers=workers, problem=given, evaluate={"every_rounds": 1, "optimum": True})
    ).run()


def test_of_a_quadratic_it_is_the_closed_form():
    given = problem(samples=50, parameters=8, model={"kind": "quadratic", "condition": 30.0})
    points = given.dataset.load().train_x
    curvatures = np.logspace(-np.log10(30), 0, 8)
    best = 0.5 * (curvatures * np.square(points - points.mean(0))).sum(1).mean()
    found = outcome(given)
    assert found.optimal_loss == pytest.approx(best, rel=1e-6)
    assert found.rows[-1]["train_loss"] > found.optimal_loss


def test_of_logistic_regression_with_a_ridge_it_is_scikit_learns():
    given = Problem(
        dataset="digits",
        model="softmax",
        samples_per_worker=200,
        l2=0.01,
    )
    simulation = Simulation(
        setting(DSGD, workers=5, problem=given, evaluate={"every_rounds": 1, "optimum": True})
    )
    task = simulation._record._task
    x, y = task.train_x.double().numpy(), task.train_y.numpy()
    # Ours counts the biases in the ridge: as weights of an input that is always 1.
    with_one = np.hstack([x, np.ones((len(x), 1))])
    model = LogisticRegression(C=1 / (0.01 * len(x)), fit_intercept=False, tol=1e-10, max_iter=5000)
    model.fit(with_one, y)
    logits = with_one @ model.coef_.T
    log_sums = np.log(np.exp(logits).sum(1))
    loss = (log_sums - logits[np.arange(len(y)), y]).mean() + 0.005 * np.square(model.coef_).sum()
    assert simulation.run().optimal_loss == pytest.approx(loss, abs=1e-8)


@pytest.mark.parametrize("samples", [20, 200])
def test_of_classes_that_planes_separate_it_is_next_to_nothing(samples):
    """Larger weights are always better there: the infimum is 0."""
    found = outcome(Problem(dataset="digits", model="softmax", samples_per_worker=samples))
    assert 0 < found.optimal_loss < 1e-7


def test_a_search_that_does_not_end_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr(optimum, "_MOST_STEPS", 3)
    with pytest.raises(ModelError, match=r"no minimum of the training loss .* problem\.l2"):
        outcome(Problem(dataset="digits", model="softmax", samples_per_worker=20))


def test_it_is_not_computed_unless_asked_for():
    assert Simulation(setting(DSGD)).run().optimal_loss is None


class Single(nn.Module):
    """Only ever computes in float32."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        return self.linear(x @ torch.ones(64, 64))


def test_a_model_that_cannot_be_computed_in_float64_is_told_in_one_line():
    with pytest.raises(ModelError, match=r"can't be computed in float64 .*dtype"):
        outcome(Problem(dataset="digits", model=Single(), samples_per_worker=20))
