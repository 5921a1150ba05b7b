"""Sign with norm (EF-sign; Karimireddy et al. 2019, arXiv 1901.09847).

Q(x)_k = (||x||_1 / d) sign(x_k),  sign(0) = 1,

||Q(x) - x||^2 = (1 - ||x||_1^2 / (d ||x||_2^2)) ||x||_2^2. It is meant for differences (CHOCO-SGD)
or with `error-feedback`, and for each layer on its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from desim.tensors.compressors import _buckets as buckets
from desim.tensors.compressors._floats import narrowed
from desim.tensors.compressors.base import Compressor, Error
from desim.tensors.lazy import torch
from desim.tensors.wire import Reader, Writer

if TYPE_CHECKING:
    from torch import Tensor


_PART = 1024  # numbers


class Sign(Compressor):
    """The mean magnitude, and a bit for each sign: 0.0 arrives as plus the mean, -0.0 as minus."""

    kind: ClassVar[str] = "sign"
    error: ClassVar[Error] = "relative"
    unbiased: ClassVar[bool] = False
    random: ClassVar[bool] = False
    keeps_zeros: ClassVar[bool] = False

    def size_bits(self, parameters: int) -> int:
        """32 + d."""
        return 32 + parameters

    def error_bound(self, parameters: int) -> float:
        """1 - 1 / d, as ||x||_2 <= ||x||_1."""
        return 1 - 1 / parameters

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """The mean magnitude with each number's sign."""
        return torch.copysign(_mean(rows), rows)

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """The mean, then the sign bits."""
        message.floats(_mean(x[None]))
        message.integers(x.signbit(), 1)

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """The mean with each sign."""
        mean = torch.from_numpy(message.floats(1)).to(dtype)
        return mean * torch.from_numpy(1 - 2 * message.integers(parameters, 1)).to(dtype)


def _mean(rows: Tensor) -> Tensor:
    """Mean magnitudes as they travel, shape (rows, 1)."""
    # Divided before the sum, which might overflow; summed in parts, as torch cuts the sum of a long
    # row that comes alone into one for each thread.
    parts = buckets.parts(rows.abs().mul_(1 / rows.shape[1]), _PART)
    mean = torch.cat([part.sum(-1) for part in parts], 1).sum(1, keepdim=True)
    return narrowed(mean.clamp_(max=torch.finfo(rows.dtype).max), torch.float32).to(rows.dtype)
