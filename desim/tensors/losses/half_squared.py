"""Half the squared error: (1/2) ||outputs - targets||^2."""

from typing import ClassVar

from torch import Tensor

from desim.tensors.losses.base import Loss


class HalfSquared(Loss):
    """(1/2) ||outputs - targets||^2, summed over the outputs."""

    kind: ClassVar[str] = "half-squared"

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses (batch,) of outputs and targets of the same shape (batch, ...)."""
        return 0.5 * (outputs - targets).square().reshape(len(outputs), -1).sum(-1)
