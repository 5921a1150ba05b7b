"""TernGrad (Wen et al. 2017, arXiv 1705.07878): three levels.

Q(x)_k = M sign(x_k) b_k,  b_k = 1 with probability |x_k| / M, else 0,  M = max_k |x_k|.

Unbiased; E||Q(x) - x||^2 = sum_k |x_k| (M - |x_k|). The paper does it for each layer on its own
(see `per-layer`), and clips x to [-c s, c s] before, where s is the standard deviation of its
numbers and c = 2.5: less noise for a bias. That is `clip`; a vector of equal numbers has s = 0 and
arrives as zeros.
"""

from __future__ import annotations

from math import ceil, sqrt
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from desim.tensors.compressors._floats import inverse, scales
from desim.tensors.compressors.base import Compressor, Error
from desim.tensors.lazy import torch
from desim.tensors.wire import Reader, Writer

if TYPE_CHECKING:
    from torch import Tensor


_POWERS = 3 ** np.arange(4, -1, -1)


class TernGrad(Compressor):
    """The largest magnitude, and -1, 0 or 1 a parameter.

    Attributes:
        clip: c, 2.5 in the paper; left out, nothing is clipped.
        packed: five parameters in a byte (3^5 = 243) instead of two bits each.
    """

    kind: ClassVar[str] = "terngrad"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({}, {"packed": True}, {"clip": 2.5})
    error: ClassVar[Error] = "relative"
    random: ClassVar[bool] = True

    clip: Annotated[float, Field(gt=0)] | None = None
    packed: bool = False

    @property
    def unbiased(self) -> bool:
        """Unless it clips."""
        return self.clip is None

    def size_bits(self, parameters: int) -> int:
        """32 + 2 d, or 32 + 8 ceil(d / 5)."""
        return 32 + (8 * ceil(parameters / 5) if self.packed else 2 * parameters)

    def error_bound(self, parameters: int) -> float:
        """(sqrt(d) - 1) / 2, the most that M ||x||_1 / ||x||^2 - 1 can be.

        With clip, max(1 + c^2 / 8, c^2 / 4): let y be x clipped, ||x|| = 1 and
        u = ||y||_1 / sqrt(d) <= ||y||. The error is ||x - y||^2 + M ||y||_1 - ||y||^2 with
        M <= c / sqrt(d): at most 1 - 2 u^2 + c u where something is clipped, else c u - u^2.
        """
        if self.clip is not None:
            return max(1 + self.clip**2 / 8, self.clip**2 / 4)
        return (sqrt(parameters) - 1) / 2

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """M floor(x / M + u)."""
        most, trits = _trits(self._clipped(rows), uniform)
        return trits.mul_(most)

    def _clipped(self, rows: Tensor) -> Tensor:
        """The rows within c standard deviations of zero."""
        if self.clip is None:
            return rows
        # In double precision: squares of large numbers overflow.
        limit = self.clip * rows.double().std(1, correction=0, keepdim=True)
        return rows.clamp(-limit.to(rows.dtype), limit.to(rows.dtype))

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """M, then the trits plus one; the last byte is filled up with zeros."""
        rows = self._clipped(x[None])
        most, found = _trits(rows, None if uniform is None else uniform[None])
        message.floats(most)
        trits = found[0].numpy() + 1
        if self.packed:
            fives = np.pad(trits, (0, -len(trits) % 5)).reshape(-1, 5)
            message.integers(fives @ _POWERS, 8)
        else:
            message.integers(trits, 2)

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """M times the trits."""
        most = torch.from_numpy(message.floats(1)).to(dtype)
        if self.packed:
            fives = message.integers(ceil(parameters / 5), 8)
            trits = (fives[:, None] // _POWERS % 3).reshape(-1)[:parameters]
        else:
            trits = message.integers(parameters, 2)
        return torch.from_numpy(trits - 1).to(dtype).mul_(most)


def _trits(rows: Tensor, uniform: Tensor | None) -> tuple[Tensor, Tensor]:
    """M, shape (rows, 1), and -1, 0 or 1 in the place of u."""
    assert uniform is not None
    most = scales(rows, "max")
    return most, uniform.addcmul_(rows, inverse(most)).floor_().clamp_(-1, 1)
