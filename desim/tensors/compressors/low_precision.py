"""Low-precision quantizer with s levels (QSGD; Alistarh et al. 2017, arXiv 1610.02132).

Q(x)_k = ||x|| sign(x_k) xi_k / s,  xi_k = floor(s |x_k| / ||x|| + u_k),  u_k ~ U(0, 1),

with the 2-norm or the max-norm, of the whole vector or of each bucket. Unbiased; with the 2-norm
E||Q(x) - x||^2 <= min(d / s^2, sqrt(d) / s) ||x||^2.
"""

from math import ceil, log2, sqrt
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from desim.tensors.compressors.base import Compressor


class LowPrecision(Compressor):
    """Unbiased rounding of |x_k| / ||x|| to multiples of 1 / levels.

    Attributes:
        levels: s, the number of levels above zero.
        norm: "2" or "max".
        bucket: parameters per bucket, each with a norm of its own; left out, one norm for all.
    """

    kind: ClassVar[str] = "low-precision"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"levels": 3},
        {"levels": 127, "bucket": 48},
        {"levels": 1, "norm": "max"},
        {"levels": 15, "norm": "max", "bucket": 48},
    )
    error: ClassVar[Literal["none", "bounded", "relative"]] = "relative"
    unbiased: ClassVar[bool] = True
    random: ClassVar[bool] = True

    levels: Annotated[int, Field(ge=1, le=2**16)]
    norm: Literal["2", "max"] = "2"
    bucket: Annotated[int, Field(ge=1)] | None = None

    def size_bits(self, parameters: int) -> int:
        """32 per bucket's norm, and 1 + ceil(log2(s + 1)) per parameter."""
        buckets = ceil(parameters / (self.bucket or parameters))
        return 32 * buckets + parameters * (1 + ceil(log2(self.levels + 1)))

    def error_bound(self, parameters: int) -> float:
        """min(d / s^2, sqrt(d) / s) with the bucket's size for d.

        With the max-norm d / (4 s^2): each error is at most ||x||_max / (2 s) in the root mean
        square, and ||x||_max <= ||x||_2.
        """
        d, s = min(self.bucket or parameters, parameters), self.levels
        if self.norm == "max":
            return d / (4 * s**2)
        return min(d / s**2, sqrt(d) / s)

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """||x|| sign(x) xi / s, bucket by bucket."""
        assert uniform is not None
        size = rows.shape[1]
        bucket = min(self.bucket or size, size)
        whole = size // bucket * bucket
        parts = [
            self._quantize(_buckets(rows[:, :whole], bucket), _buckets(uniform[:, :whole], bucket))
        ]
        parts[0] = parts[0].flatten(1)
        if whole < size:
            parts.append(self._quantize(rows[:, whole:], uniform[:, whole:]))
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]

    def _quantize(self, x: Tensor, uniform: Tensor) -> Tensor:
        order = 2.0 if self.norm == "2" else torch.inf
        # In double precision, where no square overflows.
        norm = torch.linalg.vector_norm(x, order, dim=-1, keepdim=True, dtype=torch.float64)
        # It travels as a 32-bit float that must not be smaller than any |x_k|; what is smaller than
        # the least normal float is sent as zero.
        rounded = torch.nextafter(norm.float(), torch.full_like(norm, torch.inf).float())
        norm = torch.where(norm >= torch.finfo(torch.float32).tiny, rounded, 0.0).to(x.dtype)
        scale = torch.where(norm > 0, self.levels / norm, 0.0)
        levels = uniform.add_(x.abs().mul_(scale)).floor_().clamp_(max=self.levels)
        return levels.mul_(norm / self.levels).copysign_(x)


def _buckets(x: Tensor, bucket: int) -> Tensor:
    return x.view(len(x), -1, bucket)
