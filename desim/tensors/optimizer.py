"""What a worker does with its gradients before its method sees them.

    g <- g min(1, clip_norm / ||g||);  d = g + weight_decay x;  u <- momentum u + d

and the method gets u instead of g, or with Nesterov's form d + momentum u: as torch.optim.SGD does
(dampening 0), with `clip_grad_norm_` before it. Each worker has a velocity u of its own, as in
Assran et al. 2019 (arXiv 1811.10792) and the code of Koloskova et al. 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field, model_validator

from desim.schema.registry import Table
from desim.tensors.refs import Ref

if TYPE_CHECKING:
    from torch import Tensor


if TYPE_CHECKING:  # the plane is built on what compressors and refs are
    from desim.tensors.plane import Plane


class Optimizer(Table):
    """Momentum, Nesterov, weight decay and gradient clipping, for any method.

    Attributes:
        momentum: 0 for none.
        nesterov: look ahead along the velocity.
        weight_decay: adds so many times the model to the gradient.
        clip_norm: longer gradients are shortened to this 2-norm; left out, none is.
    """

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip_norm: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _looks_ahead_along_something(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov = true: needs momentum, such as 0.9")
        return self

    @property
    def plain(self) -> bool:
        """Whether the gradient stays as it is."""
        return not (self.momentum or self.weight_decay or self.clip_norm)

    def direction(
        self, plane: Plane, worker: int, gradient: Ref, model: Ref, velocity: Ref | None
    ) -> tuple[Ref, Ref | None]:
        """What takes the gradient's place, and the new velocity.

        Args:
            plane: where it is computed.
            worker: whose gradient it is.
            gradient: of a batch.
            model: where it was taken.
            velocity: None before the first one.
        """
        if self.clip_norm is not None:
            gradient = plane.map(Clip(self.clip_norm), [gradient], worker)
        direction = gradient + self.weight_decay * model if self.weight_decay else gradient
        if not self.momentum:
            return direction, None
        velocity = direction if velocity is None else self.momentum * velocity + direction
        plane.record(velocity, worker)
        return (direction + self.momentum * velocity if self.nesterov else velocity), velocity


@dataclass(frozen=True)
class Clip:
    """Shortens rows to a 2-norm."""

    norm: float

    def __call__(self, rows: Tensor) -> Tensor:
        """rows * min(1, norm / ||row||)."""
        lengths: Tensor = rows.norm(dim=1, keepdim=True)
        return rows.mul(self.norm / lengths.clamp(min=self.norm))
