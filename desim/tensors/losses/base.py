"""What a loss is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from desim.schema.registry import Member, plain
from desim.tensors.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class Loss(Member):
    """The loss of each sample from the model's outputs and the targets."""

    axis: ClassVar[str] = "losses"

    @abstractmethod
    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses (batch,) of outputs (batch, ...) and targets (batch, ...)."""

    def gradient(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """The derivative of sum_k weights[k] * losses[k] by the outputs, of their shape.

        A member may override it with a closed form, which is faster.
        """
        leaf = outputs.detach().requires_grad_()
        return torch.autograd.grad(self(leaf, targets), leaf, weights)[0]

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """Which samples (batch,) are classified rightly; None where there are no classes."""
        return None

    @classmethod
    def from_object(cls, value: object) -> Loss | None:
        """A loss made of a function."""
        return GivenLoss(function=value) if callable(value) else None


class GivenLoss(Loss):
    """A function given in code.

    Attributes:
        function: (outputs, targets) -> losses (batch,).
    """

    function: Callable[..., Any]

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The function's values."""
        losses: Tensor = self.function(outputs, targets)
        return losses

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """The largest output names the class, where targets are classes."""
        if targets.is_floating_point() or outputs.ndim != 2:
            return None
        return outputs.argmax(-1) == targets

    def table(self) -> dict[str, Any]:
        """A description: code can't stand in a scenario file."""
        return {"kind": "object", "function": plain(self.function)}
