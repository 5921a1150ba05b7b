"""The smallest training loss that there is: what a convex problem's losses are measured against."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import optimize
from torch import Tensor

from desim.errors import ModelError
from desim.schema.phrases import one_line
from desim.tensors.evaluation import loss_and_gradient
from desim.tensors.problem import Task

#: L-BFGS ends where no entry of the gradient is larger than this.
_GRADIENT = 1e-12

#: What may be missing to the minimum: well below every loss gap that a run could show.
_GAP = 1e-7

_MOST_STEPS = 20_000


def optimal_loss(task: Task) -> float:
    """The minimum of the objective over all training samples that workers hold, by L-BFGS.

    It is computed in float64 from the model's own start: the optimum of a convex problem, a local
    one otherwise.

    Raises:
        ModelError: none is found to within 1e-7, or the model can't be computed in float64.
    """

    def value(numbers: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        row = torch.from_numpy(numbers).to(task.train_x.device)
        loss, gradient = loss_and_gradient(task, row)
        return loss, gradient.cpu().numpy()

    start = task.objective.pack().double().cpu().numpy()
    try:
        task = replace(
            task,
            objective=task.objective.double(),
            train_x=_double(task.train_x),
            train_y=_double(task.train_y),
        )
        value(start)
    except RuntimeError as error:
        raise ModelError(
            f"evaluate.optimum = true: the model can't be computed in float64 ({one_line(error)})"
        ) from None
    options: dict[str, Any] = {"maxiter": _MOST_STEPS, "maxfun": 2 * _MOST_STEPS, "maxcor": 30}
    found = optimize.minimize(
        value, start, jac=True, method="L-BFGS-B", options={**options, "gtol": _GRADIENT, "ftol": 0}
    )
    # Steps too small for float64 end a search as well. What counts is what may be missing: of a
    # convex function no more than the gradient's length times the way to the minimum.
    gap = float(np.linalg.norm(found.jac)) * (1 + float(np.linalg.norm(found.x)))
    if not gap < _GAP:
        raise ModelError(
            f"evaluate.optimum = true: no minimum of the training loss was found in {found.nit:,} "
            f"steps; it may be too flat, and a ridge helps: problem.l2 = 0.001"
        )
    return float(found.fun)


def _double(data: Tensor) -> Tensor:
    """In float64; classes stay whole numbers."""
    return data.double() if data.is_floating_point() else data
