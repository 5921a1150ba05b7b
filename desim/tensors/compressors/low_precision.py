"""Low-precision quantizer with s levels (QSGD; Alistarh et al. 2017, arXiv 1610.02132).

Q(x)_k = ||x|| sign(x_k) xi_k / s,  sign(x_k) xi_k = floor(s x_k / ||x|| + u_k),  u_k ~ U(0, 1),

with the 2-norm or the max-norm, of the whole vector or of each bucket. Unbiased; with the 2-norm
E||Q(x) - x||^2 <= (tau - 1) ||x||^2,  tau = 1 + min(d / s^2, sqrt(d) / s).
"""

from __future__ import annotations

from math import ceil, log2, sqrt
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from desim.tensors.compressors import _buckets as buckets
from desim.tensors.compressors._floats import inverse, scales
from desim.tensors.compressors.base import Compressor, Error
from desim.tensors.lazy import torch
from desim.tensors.wire import Reader, Writer

if TYPE_CHECKING:
    from torch import Tensor


class LowPrecision(Compressor):
    """Unbiased rounding of x_k / ||x|| to multiples of 1 / levels.

    Attributes:
        levels: s, the number of levels above zero.
        norm: "2" or "max".
        bucket: parameters per bucket, each with a norm of its own; left out, one norm for all.
        contractive: whether the receiver divides by tau (Koloskova et al. 2019, arXiv 1902.00340):
            biased, but the error is below ||x||^2, as CHOCO-SGD and error feedback need.
    """

    kind: ClassVar[str] = "low-precision"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"levels": 3},
        {"levels": 127, "bucket": 48},
        {"levels": 1, "norm": "max"},
        {"levels": 15, "norm": "max", "bucket": 48},
        {"levels": 4, "contractive": True},
    )
    error: ClassVar[Error] = "relative"
    random: ClassVar[bool] = True

    levels: Annotated[int, Field(ge=1, le=2**16)]
    norm: Literal["2", "max"] = "2"
    bucket: Annotated[int, Field(ge=1)] | None = None
    contractive: bool = False

    @property
    def unbiased(self) -> bool:
        """Unless it is contractive."""
        return not self.contractive

    def size_bits(self, parameters: int) -> int:
        """32 per bucket's norm, and 1 + ceil(log2(s + 1)) per parameter."""
        return 32 * buckets.count(parameters, self.bucket) + parameters * self._width

    @property
    def _width(self) -> int:
        return 1 + ceil(log2(self.levels + 1))

    def error_bound(self, parameters: int) -> float:
        """tau - 1, or 1 - 1 / tau where contractive, with the bucket's size for d.

        With the max-norm tau - 1 = d / (4 s^2): each error is at most ||x||_max / (2 s) in the root
        mean square, and ||x||_max <= ||x||_2.
        """
        extra = self._extra(parameters)
        return extra / (1 + extra) if self.contractive else extra

    def _extra(self, parameters: int) -> float:
        """tau - 1."""
        d, s = min(self.bucket or parameters, parameters), self.levels
        if self.norm == "max":
            return d / (4 * s**2)
        return min(d / s**2, sqrt(d) / s)

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """||x|| floor(s x / ||x|| + u) / s, bucket by bucket."""
        assert uniform is not None
        for levels, norms in self._quantized(rows, uniform):
            levels.mul_(self._steps(norms, rows.shape[1]))
        return uniform

    def _quantized(self, rows: Tensor, uniform: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Signed levels, which take the place of the random numbers, and norms of the parts."""
        quantized = []
        for x, u in zip(*(buckets.parts(t, self.bucket) for t in (rows, uniform)), strict=True):
            norms = scales(x, self.norm)
            u.addcmul_(x, inverse(norms).mul_(self.levels)).floor_()
            quantized.append((u.clamp_(-self.levels, self.levels), norms))
        return quantized

    def _steps(self, norms: Tensor, parameters: int) -> Tensor:
        """What one level is worth."""
        return norms / (self.levels * (1 + self._extra(parameters) * self.contractive))

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """The norms, then the levels: a level is below s + 1, and its sign takes one bit."""
        assert uniform is not None
        for _, norms in self._quantized(x[None], levels := uniform[None]):
            message.floats(norms)
        message.integers(levels + self.levels, self._width)

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """The levels times the norms."""
        norms = self._read_norms(message, parameters, dtype)
        levels = torch.from_numpy(message.integers(parameters, self._width) - self.levels)
        return self._scaled(levels.to(dtype), norms)

    def _read_norms(self, message: Reader, parameters: int, dtype: torch.dtype) -> Tensor:
        norms = message.floats(buckets.count(parameters, self.bucket))
        return torch.from_numpy(norms).to(dtype)

    def _scaled(self, levels: Tensor, norms: Tensor) -> Tensor:
        parts = buckets.parts(levels[None], self.bucket)
        own = torch.split(norms, [part.shape[1] for part in parts])
        for part, norm in zip(parts, own, strict=True):
            part.mul_(self._steps(norm, len(levels))[:, None])
        return levels
