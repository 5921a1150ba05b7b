"""Natural dithering with s levels (Horvath et al. 2019, arXiv 1905.10988).

Q(x)_k = ||x|| sign(x_k) y_k,  y_k in {0, 2^(1-s), ..., 1/4, 1/2, 1},

where y_k is one of the two levels beside |x_k| / ||x||, drawn so that the mean is right, with the
2-norm or the max-norm of the vector. Unbiased.
"""

from __future__ import annotations

from math import ceil, log2, sqrt
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from desim.tensors.compressors._floats import inverse, scales
from desim.tensors.compressors.base import Compressor, Error
from desim.tensors.lazy import torch
from desim.tensors.wire import Reader, Writer

if TYPE_CHECKING:
    from torch import Tensor


#: The bits of a float of so many without its sign and mantissa: the power of two below.
_EXPONENTS = {32: 0x7F800000, 64: 0x7FF0000000000000}


class NaturalDithering(Compressor):
    """Unbiased rounding of x_k / ||x|| to powers of two, so that levels lie dense near zero.

    Attributes:
        levels: s, the number of levels above zero.
        norm: "2" or "max".
    """

    kind: ClassVar[str] = "natural-dithering"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"levels": 7}, {"levels": 4, "norm": "max"})
    error: ClassVar[Error] = "relative"
    unbiased: ClassVar[bool] = True
    random: ClassVar[bool] = True

    levels: Annotated[int, Field(ge=1, le=64)]
    norm: Literal["2", "max"] = "2"

    def size_bits(self, parameters: int) -> int:
        """32, and 1 + ceil(log2(s + 1)) per parameter."""
        return 32 + parameters * (1 + self._width)

    @property
    def _width(self) -> int:
        return ceil(log2(self.levels + 1))

    @property
    def _least(self) -> float:
        return 2.0 ** (1 - self.levels)

    def error_bound(self, parameters: int) -> float:
        """1 / 8 + q min(1, q) with q = sqrt(d) 2^(1-s)."""
        small = sqrt(parameters) * self._least
        return 1 / 8 + small * min(1, small)

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """||x|| sign(x) y."""
        norm, shares = self._shares(rows, uniform)
        return shares.mul_(norm)

    def _shares(self, rows: Tensor, uniform: Tensor | None) -> tuple[Tensor, Tensor]:
        """||x||, shape (rows, 1), and sign(x) y in the place of u."""
        assert uniform is not None
        norm = scales(rows, self.norm)
        shares = rows * inverse(norm)
        integer = torch.int32 if rows.dtype == torch.float32 else torch.int64
        mask = _EXPONENTS[torch.iinfo(integer).bits]
        # The distance from one level to the next above.
        steps = shares.view(integer).bitwise_and(mask).view(rows.dtype).clamp_(min=self._least)
        levels = uniform.add_(shares.div_(steps)).floor_()
        return norm, levels.mul_(steps).clamp_(-1, 1)

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """||x||, then a sign and the number of each level, from zero."""
        norm, found = self._shares(x[None], None if uniform is None else uniform[None])
        message.floats(norm)
        shares = found[0].numpy()
        exponents = np.frexp(shares)[1]  # 1 for 1, 0 for 1/2, ...
        numbers = np.where(shares == 0, 0, exponents - 1 + self.levels)
        message.integers(
            numbers + (np.signbit(shares) * np.int64(1 << self._width)), 1 + self._width
        )

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """||x|| times the levels."""
        norm = torch.from_numpy(message.floats(1)).to(dtype)
        codes = message.integers(parameters, 1 + self._width)
        numbers = codes & ((1 << self._width) - 1)
        shares = np.where(numbers == 0, 0.0, np.ldexp(1.0, numbers - self.levels))
        signed = np.where(codes >> self._width, -shares, shares)
        return torch.from_numpy(signed).to(dtype).mul_(norm)
