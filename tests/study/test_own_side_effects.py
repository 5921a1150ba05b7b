"""Extensions that change what they are given, or do what nobody sees, are refused by name."""

from contextlib import contextmanager
from math import nan
from random import random
from typing import Any

import numpy as np
import pytest
import torch
from builders import problem, setting, simulate
from torch import nn

import desim
from desim.errors import ScenarioError
from desim.scenario.scenario import Trial
from desim.tensors.compressors.none import NoCompressor
from desim.tensors.compressors.top_k import TopK


@contextmanager
def refused(said: str) -> Any:
    with pytest.raises(ScenarioError) as caught:
        yield
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


class InPlace(TopK):
    def __call__(self, rows, *, uniform):
        return rows.mul_(0.5)


class Mixes(NoCompressor):
    def __call__(self, rows, *, uniform):
        return rows.mean(0, keepdim=True).expand_as(rows)


class Draws(NoCompressor):
    def __call__(self, rows, *, uniform):
        return rows + torch.randn_like(rows)


class Flattens(NoCompressor):
    def __call__(self, rows, *, uniform):
        return rows.flatten()


class WrongBound(TopK):
    said: Any = nan

    def error_bound(self, parameters):
        return self.said


class WrongError(TopK):
    @property
    def error(self):
        return "nonsense"


COMPRESSORS = [
    (InPlace(fraction=0.5), "changes its rows; must leave them"),
    (Mixes(), "makes of a row another one among others"),
    (Draws(), "gives other numbers for the same rows the second time"),
    (Flattens(), "must have their shape and type"),
    (WrongBound(fraction=0.5, said=-5), "error_bound gives -5; must be a number from 0"),
    (WrongBound(fraction=0.5, said="x"), "error_bound gives 'x'"),
    (WrongError(fraction=0.5), "error is 'nonsense'; must be 'none' or 'bounded' or 'relative'"),
]


@pytest.mark.parametrize(("compressor", "said"), COMPRESSORS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("around", [False, True])
def test_a_compressor(compressor, said, around):
    if around:
        compressor = {"kind": "error-feedback", "compressor": compressor}
    method = {"kind": "choco-sgd", "batch": 4, "compressor": compressor}
    with refused(said):
        simulate(setting(method), train=True)


class Halves(TopK):
    def __call__(self, rows, *, uniform):
        return rows * 0.5


def test_a_compressor_that_does_as_it_should():
    method = {"kind": "choco-sgd", "batch": 4, "compressor": Halves(fraction=0.5)}
    assert simulate(setting(method), train=True).outcome.stopped_by == "rounds"


class Sorts(desim.Partition):
    def assign(self, targets, workers, samples_per_worker, random):
        targets.sort()
        return np.array_split(np.arange(len(targets)), workers)


def test_a_partition_cannot_change_the_targets():
    x, y = np.eye(8), np.tile([1, 0], 4)
    given = problem(dataset=desim.Data(x, y, x, y), model="softmax", partition=Sorts())
    with pytest.raises(ValueError, match="read-only"):
        simulate(setting({"kind": "dsgd", "batch": 1}, problem=given, workers=4), train=True)
    assert y.tolist() == [1, 0] * 4


class Temperature(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.zeros(()))

    def forward(self, outputs, targets):
        return nn.functional.cross_entropy(outputs * self.log.exp(), targets, reduction="none")


def test_a_loss_with_parameters_of_its_own():
    x, y = np.eye(8), np.tile([1, 0], 4)
    data = desim.Data(x, y, x, y)
    loss = Temperature()
    with refused("has a parameter log that nobody would train"):
        trained(data, loss)
    assert trained(data, loss.requires_grad_(False)).outcome.stopped_by == "rounds"


def test_a_loss_that_is_a_class_or_draws():
    x, y = np.eye(8), np.tile([1, 0], 4)
    data = desim.Data(x, y, x, y)
    with refused("is a class; give an instance: CrossEntropyLoss(reduction='none')"):
        trained(data, nn.CrossEntropyLoss)
    with refused("gives other losses for the same outputs and targets the second time"):
        trained(data, lambda o, t: nn.functional.cross_entropy(o, t, reduction="none") + random())


def trained(data, loss):
    given = problem(dataset=data, model="softmax", loss=loss)
    return simulate(setting({"kind": "dsgd", "batch": 1}, problem=given, workers=4), train=True)


def test_numbers_that_are_not_there():
    x, y = np.eye(8, dtype=np.float32), np.tile([1, 0], 4)
    with refused("train_x has masked numbers"):
        desim.Problem(dataset=desim.Data(np.ma.array(x, mask=x > 0), y, x, y), model="softmax")
    with refused("train_x has the layout torch.sparse_coo"):
        desim.Problem(dataset=desim.Data(torch.tensor(x).to_sparse(), y, x, y), model="softmax")


class NoYield(desim.Rounds):
    batch: int

    def worker(self, me):
        return float(me.initial_model())


def test_a_mistake_in_a_method_names_the_method():
    method = NoYield(batch=1, step_size={"kind": "constant", "alpha": 0.1})
    with pytest.raises(desim.ExtensionError, match=r"^NoYield\.worker failed: TypeError"):
        desim.simulate(Trial("t", {}, setting(method)))


class Large(desim.Mixing):
    weight: float

    def off_diagonal(self, graph):
        return [np.full(len(row), self.weight) for row in graph.neighbours]


@pytest.mark.parametrize(("weight", "eigenvalue"), [(0.6, "-1.4"), (5.0, "-19")])
def test_a_mixing_that_drives_models_apart(weight, eigenvalue):
    # On a ring of 4 the eigenvalues are 1 - 2 w (1 - cos), down to 1 - 4 w.
    with refused(f"W has the eigenvalue {eigenvalue}; must be from -1 to 1"):
        simulate(setting({"kind": "dsgd", "batch": 1}, workers=4, mixing=Large(weight=weight)))
    kept = setting({"kind": "dsgd", "batch": 1}, workers=4, mixing=Large(weight=0.5))
    assert simulate(kept).outcome.stopped_by == "rounds"


class Forgets(desim.Rounds):
    batch: int

    def worker(self, me):
        me.compute(me.initial_model(), self.batch)


@pytest.mark.parametrize("faults", [None, {"workers": [{"worker": 1, "down_s": 1.0}]}])
def test_a_worker_that_is_no_generator(faults):
    method = Forgets(batch=1, step_size={"kind": "constant", "alpha": 0.1})
    with refused("algorithms.Forgets: its worker gives None; must be a generator"):
        simulate(setting(method, faults=faults))


def test_a_class_that_lacks_a_method():
    class Deals(desim.Partition):
        def deal(self, targets, workers):
            return []

    with refused("Deals: can't be used yet; it must define assign"):
        Deals()
