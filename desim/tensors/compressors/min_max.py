"""Min-max quantization (MinMaxUInt8 of Bagua; Gan et al. 2021, arXiv 2107.01499).

Q(x)_k = m + (q_k - n / 2) r / n,  q_k = round((x_k - m) n / r + n / 2),  n = 2^bits - 1,

with the middle m and the range r of the numbers of a bucket: the nearest of 2^bits evenly spaced
levels from the least number to the largest. No error is above r / (2 n).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from desim.tensors.compressors import _buckets as buckets
from desim.tensors.compressors._floats import MOST
from desim.tensors.compressors.base import Compressor, Error
from desim.tensors.lazy import torch
from desim.tensors.wire import Reader, Writer

if TYPE_CHECKING:
    from torch import Tensor


#: Ranges below it are sent as zero: every number arrives as the middle.
_LEAST = 2.0**-100


class MinMax(Compressor):
    """Rounding to evenly spaced levels between the least and the largest number of a bucket.

    Attributes:
        bits: per parameter; 8 in Bagua.
        bucket: parameters per bucket; left out, one for all.
    """

    kind: ClassVar[str] = "min-max"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"bits": 4, "bucket": 48})
    error: ClassVar[Error] = "relative"
    unbiased: ClassVar[bool] = False
    random: ClassVar[bool] = False
    keeps_zeros: ClassVar[bool] = False

    bits: Annotated[int, Field(ge=2, le=16)] = 8
    bucket: Annotated[int, Field(ge=1)] | None = None

    def size_bits(self, parameters: int) -> int:
        """64 per bucket, and bits per parameter."""
        return 64 * buckets.count(parameters, self.bucket) + self.bits * parameters

    @property
    def _steps(self) -> int:
        return (1 << self.bits) - 1

    def error_bound(self, parameters: int) -> float:
        """d / (2 n^2) with the bucket's size for d: r^2 <= 2 ||x||^2."""
        return min(self.bucket or parameters, parameters) / (2 * self._steps**2)

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """The nearest level, bucket by bucket."""
        out = torch.empty_like(rows)
        pairs = zip(*(buckets.parts(t, self.bucket) for t in (rows, out)), strict=True)
        for x, values in pairs:
            least, most = _limits(x)
            self._values(self._levels(x, least, most, out=values), least, most)
        return out

    def _levels(self, x: Tensor, least: Tensor, most: Tensor, out: Tensor | None = None) -> Tensor:
        """q - n / 2."""
        middle, size = _middle(least, most)
        levels = torch.sub(x, middle.to(x.dtype), out=out)
        # n / r where r is not zero, and then no more than n 2^100.
        levels.mul_((self._steps / size.clamp(min=_LEAST)).to(x.dtype))
        half = self._steps / 2
        return levels.add_(half).round_().clamp_(0, self._steps).sub_(half)

    def _values(self, levels: Tensor, least: Tensor, most: Tensor) -> Tensor:
        """m + (q - n / 2) r / n, in the place of the levels."""
        middle, size = _middle(least, most)
        levels.mul_((size / self._steps).to(levels.dtype))
        return levels.add_(middle.to(levels.dtype))

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """The least numbers, the largest, then q."""
        parts = buckets.parts(x[None], self.bucket)
        limits = [_limits(part) for part in parts]
        for ends in zip(*limits, strict=True):
            for end in ends:
                message.floats(end)
        for part, (least, most) in zip(parts, limits, strict=True):
            message.integers(self._levels(part, least, most) + self._steps / 2, self.bits)

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """The levels that are meant."""
        number = buckets.count(parameters, self.bucket)
        least, most = (torch.from_numpy(message.floats(number)) for _ in range(2))
        levels = torch.from_numpy(message.integers(parameters, self.bits)).to(dtype)
        levels.sub_(self._steps / 2)
        parts = buckets.parts(levels[None], self.bucket)
        sizes = [part.shape[1] for part in parts]
        ends = (torch.split(end, sizes) for end in (least, most))
        for part, low, high in zip(parts, *ends, strict=True):
            self._values(part, low[:, None], high[:, None])
        return levels


def _limits(x: Tensor) -> tuple[Tensor, Tensor]:
    """The least and the largest number as they travel: 32-bit floats, shape (..., 1)."""
    ends = (x.amin(-1, keepdim=True), x.amax(-1, keepdim=True))
    least, most = (end.clamp_(-MOST, MOST).float() for end in ends)
    return least, most


def _middle(least: Tensor, most: Tensor) -> tuple[Tensor, Tensor]:
    """m and r, in double precision; a range that is too small is zero."""
    low, high = least.double(), most.double()
    return (low + high).mul_(0.5), torch.threshold_(high - low, _LEAST, 0.0)
