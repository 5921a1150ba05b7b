"""Random rounding to a fixed grid: up or down with the probability that makes it unbiased.

Q(x)_k = grid * floor(x_k / grid + u_k),  u_k ~ U(0, 1).

The released code of QuanTimed-DSGD uses this form (grid = 10^-s). The error does not depend on x:
E||Q(x) - x||^2 <= d grid^2 / 4, the paper's assumption of a bounded quantizer.
"""

from __future__ import annotations

from math import ceil, log2
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from desim.tensors.compressors.base import Compressor, Error
from desim.tensors.lazy import torch
from desim.tensors.wire import Reader, Writer

if TYPE_CHECKING:
    from torch import Tensor


class RandomRounding(Compressor):
    """Unbiased rounding to the multiples of `grid` within [-range, range].

    Attributes:
        grid: the distance between neighbouring levels.
        range: the largest magnitude that can be sent; larger numbers are cut off there, so the
            rounding is unbiased, and its error bounded, only for models that stay inside.
    """

    kind: ClassVar[str] = "random-rounding"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"grid": 0.25, "range": 4.0},
        {"grid": 0.001, "range": 4.0},
    )
    error: ClassVar[Error] = "bounded"
    unbiased: ClassVar[bool] = True
    random: ClassVar[bool] = True

    grid: Annotated[float, Field(gt=0)]
    range: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.range / self.grid < 2**31:
            raise ValueError(f"range = {self.range:g}: must be less than 2^31 times the grid")
        # Anything else would be cut off at the last level inside, and biased up to the range.
        if abs(self.range / self.grid - self._most) > 1e-9 * self._most or not self._most:
            raise ValueError(f"range = {self.range:g}: must be a multiple of grid = {self.grid:g}")
        return self

    @property
    def _most(self) -> int:
        return round(self.range / self.grid)

    def size_bits(self, parameters: int) -> int:
        """d * ceil(log2(number of levels)), with 2 range / grid + 1 levels."""
        return parameters * self._width

    @property
    def _width(self) -> int:
        return ceil(log2(2 * self._most + 1))

    def error_bound(self, parameters: int) -> float:
        """d grid^2 / 4."""
        return parameters * self.grid**2 / 4

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """grid * floor(x / grid + u), within the range."""
        return self._levels(rows, uniform).mul_(self.grid)

    def _levels(self, rows: Tensor, uniform: Tensor | None) -> Tensor:
        assert uniform is not None
        levels = uniform.add_(rows, alpha=1 / self.grid).floor_()
        return levels.clamp_(-self._most, self._most)

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """The number of each level, from the lowest."""
        # As a float32 the last level may be a little beyond itself.
        levels = self._levels(x, uniform).long().clamp_(-self._most, self._most)
        message.integers(levels + self._most, self._width)

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """grid times the levels."""
        levels = torch.from_numpy(message.integers(parameters, self._width) - self._most)
        return levels.to(dtype).mul_(self.grid)
