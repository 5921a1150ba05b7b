"""Stochastic sign: two levels, chosen so that the mean is right (after Suresh et al. 2017,
arXiv 1611.00429, whose levels are the least and the largest number).

Q(x)_k = M with probability (1 + x_k / M) / 2, else -M,  M = max_k |x_k|.

Unbiased; E||Q(x) - x||^2 = d M^2 - ||x||^2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from desim.tensors.compressors._floats import inverse, scales
from desim.tensors.compressors.base import Compressor, Error
from desim.tensors.lazy import torch
from desim.tensors.wire import Reader, Writer

if TYPE_CHECKING:
    from torch import Tensor


class StochasticSign(Compressor):
    """The largest magnitude, and one random bit a parameter."""

    kind: ClassVar[str] = "stochastic-sign"
    error: ClassVar[Error] = "relative"
    unbiased: ClassVar[bool] = True
    random: ClassVar[bool] = True
    keeps_zeros: ClassVar[bool] = False

    def size_bits(self, parameters: int) -> int:
        """32 + d."""
        return 32 + parameters

    def error_bound(self, parameters: int) -> float:
        """d - 1, as M <= ||x||."""
        return parameters - 1.0

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """M or -M."""
        most, leaning = _leaning(rows, uniform)
        return torch.copysign(most, leaning, out=leaning)

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """M, then the sign bits."""
        most, leaning = _leaning(x[None], None if uniform is None else uniform[None])
        message.floats(most)
        message.integers(leaning.signbit(), 1)

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """M with each sign."""
        most = torch.from_numpy(message.floats(1)).to(dtype)
        return most * torch.from_numpy(1 - 2 * message.integers(parameters, 1)).to(dtype)


def _leaning(rows: Tensor, uniform: Tensor | None) -> tuple[Tensor, Tensor]:
    """M, shape (rows, 1), and x / (2 M) + u - 1/2 in the place of u, whose sign is drawn."""
    assert uniform is not None
    most = scales(rows, "max")
    return most, uniform.sub_(0.5).addcmul_(rows, inverse(most).mul_(0.5))
