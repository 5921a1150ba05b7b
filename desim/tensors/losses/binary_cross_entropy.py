"""Binary cross-entropy of every output, summed over the classes.

    l = -sum_c [c = target] log p_c + [c != target] log(1 - p_c),  p = sigmoid(outputs)

The released code of QuanTimed-DSGD's authors trains with this loss: each output is a yes or no of
its own, and no softmax ties them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from desim.tensors.lazy import nn
from desim.tensors.losses.base import Loss

if TYPE_CHECKING:
    from torch import Tensor


class BinaryCrossEntropy(Loss):
    """Binary cross-entropy summed over the classes, each output with a sigmoid of its own."""

    kind: ClassVar[str] = "binary-cross-entropy"

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses (batch,) of outputs (batch, classes) before the sigmoid, and classes (batch,)."""
        # softplus(x) = -log(1 - sigmoid(x)), and -log sigmoid(x) = softplus(x) - x.
        chosen = outputs.gather(-1, targets[..., None]).squeeze(-1)
        return nn.functional.softplus(outputs).sum(-1) - chosen

    def gradient(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """weights * (sigmoid(outputs) - onehot(targets))."""
        result = outputs.sigmoid().mul_(weights[:, None])
        return result.scatter_add_(-1, targets[:, None], -weights[:, None])

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """The largest output names the class."""
        return outputs.argmax(-1) == targets
