"""Cross-entropy: -sum_c p_c log softmax(outputs)_c, with p the target's class probabilities.

A class is p = 1 for itself: -log softmax(outputs)[class].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from desim.tensors.lazy import nn
from desim.tensors.losses.base import Loss, of_samples, refuse_labels

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: How far the sum of a sample's probabilities may be from 1: some float32 roundings.
_TOLERANCE = 1e-4


class CrossEntropy(Loss):
    """-log softmax(outputs)[class], natural logarithm; one output per class.

    Targets are classes, or class probabilities (one-hot rows, say) of the outputs' shape. Of many
    outputs per sample (the pixels of an image) it is the mean.
    """

    kind: ClassVar[str] = "cross-entropy"

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses (batch,).

        Args:
            outputs: (batch, classes), or (batch, classes, ...).
            targets: classes (batch,) or (batch, ...); or probabilities of the outputs' shape.
        """
        losses = nn.functional.cross_entropy(outputs, targets, reduction="none")
        return losses if losses.ndim == 1 else losses.flatten(1).mean(1)

    def prepared(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Classes below the number of outputs; or probabilities, which sum to 1."""
        if outputs.ndim < 2 or outputs.shape[1] < 2:
            raise ValueError(
                f" goes with a loss over classes, and the model gives outputs "
                f"{of_samples(outputs.shape[1:])}; must be one output for each of two or more "
                "classes"
            )
        classes = outputs.shape[1]
        if targets.shape[1:] == outputs.shape[1:]:
            return _probabilities(targets, outputs.dtype)
        if targets.is_floating_point() or targets.shape[1:] != outputs.shape[2:]:
            kind = "floats" if targets.is_floating_point() else "whole numbers"
            raise ValueError(
                f" has {kind} of shape {of_samples(targets.shape[1:])}; must be classes, whole "
                f"numbers of shape {of_samples(outputs.shape[2:])}, or class probabilities of the "
                f"outputs' shape {of_samples(outputs.shape[1:])}"
            )
        refuse_labels(targets, 0, classes, f"as the model has {classes} outputs")
        return targets

    def gradient(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """weights * (softmax(outputs) - onehot(targets))."""
        if outputs.ndim > 2 or targets.is_floating_point():
            return super().gradient(outputs, targets, weights)
        # Written out: torch.softmax takes six times as long on rows as short as these.
        result = (outputs - outputs.amax(-1, keepdim=True)).exp_()
        result.mul_(weights[:, None] / result.sum(-1, keepdim=True))
        return result.scatter_add_(-1, targets[:, None], -weights[:, None])

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """The largest output names the class; of many per sample, the share that is right."""
        classes = targets.argmax(1) if targets.is_floating_point() else targets
        right = outputs.argmax(1) == classes
        return right if right.ndim == 1 else right.flatten(1).double().mean(1)


def _probabilities(targets: Tensor, dtype: torch.dtype) -> Tensor:
    given = targets.to(dtype)
    wrong = (given < 0).any(1) | ((given.sum(1) - 1).abs() > _TOLERANCE)
    if wrong.any():
        first = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"{first[:1]}: has the outputs' shape, and so must be class probabilities, which are "
            "not negative and sum to 1; for yes and no of each class take the loss "
            "binary-cross-entropy"
        )
    return given
