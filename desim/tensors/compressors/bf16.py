"""bfloat16: the upper half of a 32-bit float (Kalamkar et al. 2019, arXiv 1905.12322).

Q(x)_k = x_k rounded to the nearest number with 8 significant bits.

It has float32's range, so that nothing overflows, and a relative error of 2^-8 where half precision
(`none` with 16 bits) has 2^-11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from desim.tensors.compressors._floats import narrowed
from desim.tensors.compressors.base import Compressor, Error
from desim.tensors.lazy import torch
from desim.tensors.wire import Reader, Writer

if TYPE_CHECKING:
    from torch import Tensor


class BFloat16(Compressor):
    """Each parameter rounded to a bfloat16; numbers beyond 3.39e38 arrive as that."""

    kind: ClassVar[str] = "bf16"
    error: ClassVar[Error] = "relative"
    unbiased: ClassVar[bool] = False
    random: ClassVar[bool] = False

    def size_bits(self, parameters: int) -> int:
        """16 d."""
        return 16 * parameters

    def error_bound(self, parameters: int) -> float:
        """2^-16: half a unit in the last place is 2^-8, relative, for numbers above 1.2e-38."""
        return 2.0**-16

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """The rows, rounded."""
        return narrowed(rows, torch.bfloat16).to(rows.dtype)

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """The bits of each number."""
        message.integers(narrowed(x, torch.bfloat16).view(torch.int16), 16)

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """The bits of each number."""
        bits = torch.from_numpy(message.integers(parameters, 16).astype("u2").view("i2"))
        return bits.view(torch.bfloat16).to(dtype)
