"""Binary cross-entropy of every output, summed over the classes.

    l = -sum_c y_c log p_c + (1 - y_c) log(1 - p_c),  p = sigmoid(outputs)

with y_c = 1 for the target's class, or for each of its labels.

The released code of QuanTimed-DSGD's authors trains with this loss: each output is a yes or no of
its own, and no softmax ties them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from desim.tensors.lazy import nn
from desim.tensors.losses.base import Loss, refuse_labels, refuse_other_shape, shares

if TYPE_CHECKING:
    from torch import Tensor


class BinaryCrossEntropy(Loss):
    """Binary cross-entropy summed over the classes, each output with a sigmoid of its own.

    Targets are classes (one per sample), or labels of the outputs' shape: for each output 0 or 1,
    or a probability.
    """

    kind: ClassVar[str] = "binary-cross-entropy"

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses (batch,).

        Args:
            outputs: (batch, classes), before the sigmoid.
            targets: classes (batch,), int64; or labels (batch, classes), floats.
        """
        # softplus(x) = -log(1 - sigmoid(x)), and -log sigmoid(x) = softplus(x) - x.
        if targets.is_floating_point():
            return (nn.functional.softplus(outputs) - targets * outputs).flatten(1).sum(1)
        chosen = outputs.gather(-1, targets[..., None]).squeeze(-1)
        return nn.functional.softplus(outputs).sum(-1) - chosen

    def prepared(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Classes below the number of outputs; or labels of their shape, as floats from 0 to 1."""
        classes = outputs.shape[1] if outputs.ndim == 2 else 0
        if classes > 1 and targets.ndim == 1 and not targets.is_floating_point():
            refuse_labels(targets, 0, classes, f"as the model has {classes} outputs")
            return targets
        if outputs.ndim < 2:
            raise ValueError(
                " goes with a loss over several outputs, and the model gives one number per "
                "sample; take the loss logistic"
            )
        refuse_other_shape(targets, outputs)
        return shares(targets, outputs.dtype)

    def gradient(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """weights * (sigmoid(outputs) - onehot(targets))."""
        if outputs.ndim > 2:
            return super().gradient(outputs, targets, weights)
        result = outputs.sigmoid().mul_(weights[:, None])
        if targets.is_floating_point():
            return result.addcmul_(targets, weights[:, None], value=-1)
        return result.scatter_add_(-1, targets[:, None], -weights[:, None])

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """The largest output names the class; of labels, all must be right: positive means 1."""
        if targets.is_floating_point():
            return ((outputs > 0) == (targets > 0.5)).flatten(1).all(1)
        return outputs.argmax(-1) == targets
