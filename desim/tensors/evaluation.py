"""What an evaluation measures: loss, accuracy and gradient of the workers' mean model."""

from collections.abc import Iterator
from math import nan
from typing import NamedTuple

import torch
from torch import Tensor

from desim.tensors.problem import Task
from desim.tensors.store import Rows, Store

#: Samples go through the model in pieces of at most so many input numbers.
_PIECE_NUMBERS = 1 << 24

_BLOCK_COLUMNS = 4096


class Measures(NamedTuple):
    """The measures of one evaluation; nan where there is nothing to measure.

    Attributes:
        train_loss, grad_norm_sq: of the objective at the mean model, on all training data.
        test_loss, test_accuracy: on the test data; the loss without the regulariser.
        consensus_error: (1/n) sum_i ||x_i - mean||^2.
    """

    train_loss: float = nan
    test_loss: float = nan
    test_accuracy: float = nan
    grad_norm_sq: float = nan
    consensus_error: float = nan


def loss_and_gradient(task: Task, row: Tensor) -> tuple[float, Tensor]:
    """The objective over all training samples at a row of parameters, and its gradient there."""
    row = row.detach().requires_grad_()
    total = torch.zeros((), dtype=torch.float64, device=row.device)
    gradient = torch.zeros_like(row)
    for part in _parts(task, row):
        if part.requires_grad:  # no regulariser is a constant
            total += part.detach()
            gradient += torch.autograd.grad(part, row)[0]
    return float(total), gradient


def _parts(task: Task, row: Tensor) -> Iterator[Tensor]:
    """What the objective is the sum of, one piece of the data at a time."""
    objective, count = task.objective, len(task.train_y)
    for x, y in _pieces(task.train_x, task.train_y):
        weights = torch.full((len(y),), 1.0 / count, dtype=row.dtype, device=row.device)
        losses = objective.loss(objective.outputs(objective.unpack(row), x), y)
        yield (losses * weights).sum()
    batch = torch.tensor(float(count), dtype=row.dtype, device=row.device)
    yield objective.regulariser(objective.unpack(row), batch)


class Evaluator:
    """Measures rows of a store.

    Args:
        store: where the rows are.
        task: the problem.
    """

    def __init__(self, store: Store, task: Task) -> None:
        self._store, self._task = store, task

    def __call__(self, rows: Rows) -> Measures:
        """The measures of the models in these rows, one per worker."""
        mean, consensus = self.mean(rows)
        loss, gradient = loss_and_gradient(self._task, mean)
        norm_sq = float(gradient.double().square().sum())
        return Measures(loss, *self._test(mean), norm_sq, consensus)

    def mean(self, rows: Rows) -> tuple[Tensor, float]:
        """The mean model (parameters,) and the consensus error."""
        data = self._store.data
        index = self._store.index(rows)
        mean = data.new_empty(data.shape[1])
        error = torch.zeros((), dtype=torch.float64, device=data.device)
        for start in range(0, data.shape[1], _BLOCK_COLUMNS):
            block = data[index, start : start + _BLOCK_COLUMNS].double()
            centre = block.mean(0)
            mean[start : start + _BLOCK_COLUMNS] = centre
            error += (block - centre).square().sum()
        return mean, float(error) / len(rows)

    def _test(self, row: Tensor) -> tuple[float, float]:
        task = self._task
        if not len(task.test_y):
            return nan, nan
        loss = 0.0
        right: float | None = 0.0
        for x, y in _pieces(task.test_x, task.test_y):
            outputs = task.objective.outputs(task.objective.unpack(row), x)
            loss += float(task.objective.loss(outputs, y).double().sum())
            correct = task.objective.loss.correct(outputs, y)
            right = None if correct is None or right is None else right + float(correct.sum())
        count = len(task.test_y)
        return loss / count, nan if right is None else right / count


def _pieces(x: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor]]:
    size = max(1, _PIECE_NUMBERS // max(1, x[0].numel()))
    return list(zip(torch.split(x, size), torch.split(y, size), strict=True))
