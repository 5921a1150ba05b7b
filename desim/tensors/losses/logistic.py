"""Logistic loss: binary cross-entropy of one output."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from desim.tensors.lazy import nn
from desim.tensors.losses.base import Loss, of_samples, refuse_labels, refuse_other_shape, shares

if TYPE_CHECKING:
    from torch import Tensor


class Logistic(Loss):
    """log(1 + exp(-outputs)) for class 1, log(1 + exp(outputs)) for class 0."""

    kind: ClassVar[str] = "logistic"

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses (batch,) of outputs and targets of one shape, (batch,) or (batch, 1)."""
        losses = nn.functional.binary_cross_entropy_with_logits(
            outputs, targets.to(outputs.dtype), reduction="none"
        )
        return losses.reshape(len(outputs))

    def prepared(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Classes 0 and 1, or the probability of class 1, one per sample."""
        if outputs.shape[1:].numel() != 1:
            raise ValueError(
                " goes with a loss of one output per sample, and the model gives outputs "
                f"{of_samples(outputs.shape[1:])}; take the loss cross-entropy"
            )
        refuse_other_shape(targets, outputs)
        if targets.is_floating_point():
            return shares(targets, outputs.dtype)
        hint = "; for -1 and 1 give (y + 1) // 2" if targets.min() == -1 else ""
        refuse_labels(targets, 0, 2, f"the classes of the logistic loss{hint}")
        return targets

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """A positive output means class 1."""
        return ((outputs > 0) == (targets > 0.5)).reshape(len(outputs))
