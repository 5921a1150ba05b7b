"""Numbers modulo a period, as Moniqua sends them (Lu, De Sa 2020, arXiv 2002.11787)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from desim.tensors.compressors.base import Compressor, Error
from desim.tensors.lazy import torch
from desim.tensors.wire import Reader, Writer

if TYPE_CHECKING:
    from torch import Tensor


class Modulo(Compressor):
    """Rounds x / period to the nearest of 2^bits levels that go round: q in [-1/2, 1/2)."""

    error: ClassVar[Error] = "bounded"
    unbiased: ClassVar[bool] = False
    random: ClassVar[bool] = False
    keeps_zeros: ClassVar[bool] = False

    bits: int
    period: float

    def size_bits(self, parameters: int) -> int:
        """bits * d."""
        return self.bits * parameters

    def error_bound(self, parameters: int) -> float:
        """Half a level in each number: d (period / 2^(bits + 1))^2."""
        return parameters * self.period**2 / 4.0 ** (self.bits + 1)

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """The levels, as shares of a period."""
        count = 2**self.bits
        places = torch.mul(rows, count / self.period).round_().div_(count)
        return places - (places + 0.5).floor_()

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """The numbers of the levels."""
        message.integers((self(x, uniform=None) + 0.5) * 2**self.bits, self.bits)

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """The levels with these numbers."""
        levels = torch.from_numpy(message.integers(parameters, self.bits))
        return levels.to(dtype).div_(2**self.bits).sub_(0.5)


@dataclass(frozen=True)
class Turns:
    """sum_j w_ij round(q_j - x_i / B): if weights sum to 0, sum_j w_ij (q_j - xhat_j / B)."""

    weights: tuple[float, ...]
    period: float

    def __call__(self, x: Tensor, *parts: Tensor) -> Tensor:
        """The sum, of the shape of x (rows, parameters); parts are the q_j."""
        place, turns, total = x / self.period, torch.empty_like(x), torch.zeros_like(x)
        for weight, part in zip(self.weights, parts, strict=True):
            total.add_(torch.sub(part, place, out=turns).round_(), alpha=weight)
        return total
