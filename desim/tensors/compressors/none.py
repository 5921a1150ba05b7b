"""No compression: every number is sent as a float."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from desim.tensors.compressors._floats import narrowed
from desim.tensors.compressors.base import Compressor, Error
from desim.tensors.lazy import torch
from desim.tensors.wire import Reader, Writer

if TYPE_CHECKING:
    from torch import Tensor


class NoCompressor(Compressor):
    """Each parameter as a float of so many bits; narrower ones are rounded for real.

    Attributes:
        bits: 16 (half precision, fp16), 32 or 64. The rounding error at 16 is 2^-11 relative for
            numbers from 6e-5 to 65,504, and at most 3e-8 below; numbers beyond arrive as 65,504.
    """

    kind: ClassVar[str] = "none"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"bits": 16}, {"bits": 32}, {"bits": 64})
    error: ClassVar[Error] = "relative"
    unbiased: ClassVar[bool] = False
    random: ClassVar[bool] = False

    bits: Literal[16, 32, 64] = 32

    @property
    def _type(self) -> torch.dtype:
        return {16: torch.float16, 32: torch.float32, 64: torch.float64}[self.bits]

    def size_bits(self, parameters: int) -> int:
        """bits * d."""
        return self.bits * parameters

    def error_bound(self, parameters: int) -> float:
        """The square of half a unit in the last place, relative."""
        return float(torch.finfo(self._type).eps / 2) ** 2

    def exact_for(self, dtype: torch.dtype) -> bool:
        """Whether numbers of this type arrive unchanged."""
        return torch.finfo(dtype).bits <= self.bits

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """The rows, rounded to the nearest float of this width."""
        return narrowed(rows, self._type).to(rows.dtype)

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """The floats."""
        message.floats(narrowed(x, self._type), self.bits)

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """The floats."""
        return torch.from_numpy(message.floats(parameters, self.bits)).to(dtype)
