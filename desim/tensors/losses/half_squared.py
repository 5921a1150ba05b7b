"""Half the squared error: (1/2) ||outputs - targets||^2."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from desim.tensors.losses.base import Loss, refuse_other_shape

if TYPE_CHECKING:
    from torch import Tensor


class HalfSquared(Loss):
    """(1/2) ||outputs - targets||^2, summed over the outputs."""

    kind: ClassVar[str] = "half-squared"

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses (batch,) of outputs and targets of the same shape (batch, ...)."""
        return 0.5 * (outputs - targets).square().reshape(len(outputs), -1).sum(-1)

    def prepared(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Numbers of the outputs' shape; whole ones become floats."""
        refuse_other_shape(targets, outputs)
        return targets.to(outputs.dtype)
