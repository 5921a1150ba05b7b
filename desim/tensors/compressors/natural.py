"""Natural compression (Horvath et al. 2019, arXiv 1905.10988): random powers of two.

Q(x)_k = sign(x_k) 2^a (1 + b_k),  |x_k| = 2^a (1 + m),  b_k = 1 with probability m, else 0.

Unbiased; E||Q(x) - x||^2 <= ||x||^2 / 8. Only the sign and the exponent of a 32-bit float are sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from desim.tensors.compressors._floats import narrowed
from desim.tensors.compressors.base import Compressor, Error
from desim.tensors.lazy import torch
from desim.tensors.wire import Reader, Writer

if TYPE_CHECKING:
    from torch import Tensor


_MANTISSA = 23  # bits of it in a 32-bit float
_MOST = 2.0**127


class Natural(Compressor):
    """Nine bits a parameter: unbiased rounding to a power of two.

    Below 2^-126 = 1.2e-38 it rounds to that or zero, unbiased too; beyond 2^127 numbers arrive as
    that.
    """

    kind: ClassVar[str] = "natural"
    error: ClassVar[Error] = "relative"
    unbiased: ClassVar[bool] = True
    random: ClassVar[bool] = True

    def size_bits(self, parameters: int) -> int:
        """9 d."""
        return 9 * parameters

    def error_bound(self, parameters: int) -> float:
        """1 / 8."""
        return 1 / 8

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """The power of two below or above."""
        return _powers(rows, uniform).to(rows.dtype)

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """The upper nine bits of each float."""
        message.integers(_powers(x, uniform).view(torch.int32) >> _MANTISSA, 9)

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """The floats with these bits."""
        upper = torch.from_numpy(message.integers(parameters, 9).astype("i4"))
        return (upper << _MANTISSA).view(torch.float32).to(dtype)


def _powers(x: Tensor, uniform: Tensor | None) -> Tensor:
    """Float32 powers of two."""
    assert uniform is not None
    # A random integer below one step of the exponent, added to the mantissa, carries into the
    # exponent as often as it should; what is left of the mantissa is cut off.
    bits = uniform.mul_(2**_MANTISSA).int()
    bits.add_(narrowed(x, torch.float32).view(torch.int32)).bitwise_and_(-(1 << _MANTISSA))
    return bits.view(torch.float32).clamp_(-_MOST, _MOST)
