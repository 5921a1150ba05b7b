"""What a loss is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from desim.schema.registry import Member, plain
from desim.tensors.lazy import nn, torch

if TYPE_CHECKING:
    from torch import Tensor


class Loss(Member):
    """The loss of each sample from the model's outputs and the targets."""

    axis: ClassVar[str] = "losses"

    @abstractmethod
    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Losses (batch,) of outputs (batch, ...) and targets (batch, ...)."""

    def prepared(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """The targets in the form in which `__call__` takes them, once for all of a part.

        A member that needs a certain form overrides it: to convert, or to refuse.

        Args:
            targets: (samples, ...), int64 where they are whole numbers.
            outputs: of the model for some samples, (some, ...).

        Raises:
            ValueError: they don't go together. Its text goes on after the name of the targets:
                "[3] = 7: must be ...".
        """
        return targets

    def gradient(self, outputs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """The derivative of sum_k weights[k] * losses[k] by the outputs, of their shape.

        A member may override it with a closed form, which is faster.
        """
        leaf = outputs.detach().requires_grad_()
        return torch.autograd.grad(self(leaf, targets), leaf, weights)[0]

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """Which samples (batch,) are classified rightly, or which share of each.

        None where there are no classes.
        """
        return None

    @classmethod
    def from_object(cls, value: object) -> Loss | None:
        """A loss made of a function."""
        if isinstance(value, type) and issubclass(value, nn.Module):
            raise ValueError(f"is a class; give an instance: {value.__name__}(reduction='none')")
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
        classes = outputs.ndim == 2 and outputs.shape[1] > 1
        if not classes or targets.is_floating_point() or targets.ndim != 1:
            return None
        return outputs.argmax(-1) == targets

    def table(self) -> dict[str, Any]:
        """A description: code can't stand in a scenario file."""
        return {"kind": "object", "function": plain(self.function)}


def refuse_labels(targets: Tensor, least: int, beyond: int, why: str) -> None:
    """Raises ValueError where a whole number isn't from `least` to below `beyond`.

    Args:
        targets: (samples, ...), int64.
        least, beyond: the range.
        why: what the range comes from.
    """
    if not targets.numel() or (targets.min() >= least and targets.max() < beyond):
        return
    first = ((targets < least) | (targets >= beyond)).nonzero()[0].tolist()
    found = int(targets[tuple(first)])
    raise ValueError(f"{first} = {found}: must be from {least} to {beyond - 1}, {why}")


def refuse_other_shape(targets: Tensor, outputs: Tensor) -> None:
    """Raises ValueError where targets and outputs differ in shape: nothing is broadcast."""
    wanted, found = outputs.shape[1:], targets.shape[1:]
    if wanted == found:
        return
    hints = {((1,), ()): "; give y[:, None]", ((), (1,)): "; give y[:, 0]"}
    raise ValueError(
        f" has the shape {of_samples(found)}, and the model gives outputs {of_samples(wanted)}; "
        f"must be the same{hints.get((tuple(wanted), tuple(found)), '')}"
    )


def of_samples(shape: Sequence[int]) -> str:
    """A shape of one sample, as it stands in messages: (samples, 3)."""
    return f"({', '.join(['samples', *map(str, shape)])}{',' if not shape else ''})"


def shares(targets: Tensor, dtype: torch.dtype) -> Tensor:
    """Targets as floats from 0 to 1: truth values, or probabilities.

    Raises:
        ValueError: one is less or more.
    """
    wrong = (targets < 0) | (targets > 1)
    if wrong.any():
        first = wrong.nonzero()[0].tolist()
        hint = "; for labels -1 and 1 give (y + 1) / 2" if targets.min() == -1 else ""
        raise ValueError(f"{first} = {targets[tuple(first)]:g}: must be from 0 to 1{hint}")
    return targets.to(dtype)
