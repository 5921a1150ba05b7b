"""Logistic loss: binary cross-entropy of one output."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from desim.tensors.lazy import nn
from desim.tensors.losses.base import Loss

if TYPE_CHECKING:
    from torch import Tensor


class Logistic(Loss):
    """log(1 + exp(-outputs)) for class 1, log(1 + exp(outputs)) for class 0."""

    kind: ClassVar[str] = "logistic"

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses (batch,) of outputs (batch,) and classes (batch,)."""
        return nn.functional.binary_cross_entropy_with_logits(
            outputs, targets.to(outputs.dtype), reduction="none"
        )

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """A positive output means class 1."""
        return (outputs > 0) == (targets == 1)
