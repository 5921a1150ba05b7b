"""Loss, accuracy and gradient of a model on all data, and how far models are apart."""

from __future__ import annotations

from collections.abc import Iterator
from math import nan
from typing import TYPE_CHECKING

from desim.tensors.lazy import torch
from desim.tensors.problem import Task
from desim.tensors.store import Rows, Store

if TYPE_CHECKING:
    from torch import Tensor


#: Samples go through the model in pieces of at most so many input numbers.
_PIECE_NUMBERS = 1 << 24

_BLOCK_COLUMNS = 4096


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


def training_loss(task: Task, row: Tensor) -> float:
    """The objective over all training samples at a row of parameters."""
    total = torch.zeros((), dtype=torch.float64, device=row.device)
    with torch.no_grad():
        for part in _parts(task, row):
            total += part
    return float(total)


def mean_and_spread(store: Store, rows: Rows) -> tuple[Tensor, float]:
    """The mean of the models in some rows, (parameters,), and (1/n) sum_i ||x_i - mean||^2."""
    data, index = store.data, store.index(rows)
    mean = data.new_empty(data.shape[1])
    error = torch.zeros((), dtype=torch.float64, device=data.device)
    for start in range(0, data.shape[1], _BLOCK_COLUMNS):
        block = data[index, start : start + _BLOCK_COLUMNS].double()
        centre = block.mean(0)
        mean[start : start + _BLOCK_COLUMNS] = centre
        error += (block - centre).square().sum()
    return mean, float(error) / len(rows)


def tested(task: Task, row: Tensor) -> tuple[float, float]:
    """Loss, without the regulariser, and accuracy on the test data; nan where there is none."""
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
