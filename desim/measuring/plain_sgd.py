"""Plain SGD in one process, as anybody would write it with torch: what `desim calibrate` times.

It shares nothing with the simulator's own gradients, which are computed for many workers in one
call and take another time.
"""

import copy

import torch

from desim.streams import Streams
from desim.tensors.agreement import taken_inputs, taken_targets
from desim.tensors.losses.base import Loss
from desim.tensors.modules import trained
from desim.tensors.objective import Objective
from desim.tensors.problem import Problem

#: So small that nothing overflows, however many steps are timed; the time doesn't depend on it.
_LEARNING_RATE = 1e-4


class PlainSGD:
    """A model, its data and an optimizer on this machine's processor.

    Args:
        problem: the data (all training samples), the model, the loss and its l2.
        streams: for the initial model and the samples drawn.

    Attributes:
        samples: how many training samples there are.
        parameters: how many numbers of the model are trained.
    """

    def __init__(self, problem: Problem, streams: Streams) -> None:
        self._module = problem.module(streams)
        self._loss = problem.loss or Loss.parse(problem.model.default_loss)
        self._regulariser = problem.regulariser
        self._trained = trained(self._module)
        data = problem.load()
        x, y = (torch.tensor(array) for array in (data.train_x, data.train_y))
        tried = copy.deepcopy(self._module)  # whose calls are not those that are timed
        objective = Objective(tried, self._loss, problem.l2, problem.regulariser)
        [self._x] = taken_inputs(objective, [x])
        self._y, _ = taken_targets(objective, self._x, torch.arange(len(y)), y, y[:0])
        self._optimizer = torch.optim.SGD(
            self._trained.values(), lr=_LEARNING_RATE, weight_decay=problem.l2
        )
        self._generator = torch.Generator().manual_seed(streams.seed % 2**63)
        self.samples = len(self._y)
        self.parameters = sum(p.numel() for p in self._trained.values())

    def step(self, batch: int) -> None:
        """Draws so many samples with replacement, and takes one step along their gradient."""
        chosen = torch.randint(self.samples, (batch,), generator=self._generator)
        self._optimizer.zero_grad()
        loss = self._loss(self._module(self._x[chosen]), self._y[chosen]).mean()
        if self._regulariser is not None:
            parameters: dict[str, torch.Tensor] = dict(self._trained)
            loss = loss + self._regulariser(parameters, torch.tensor(float(batch)))
        loss.backward()  # type: ignore[no-untyped-call]  # torch doesn't annotate it
        self._optimizer.step()
