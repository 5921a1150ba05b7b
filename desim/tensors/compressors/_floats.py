"""Numbers that travel as floats: single ones, and the scales that others are multiples of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from desim.tensors.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


#: The largest scale: below the largest 32-bit float by so much that scale / s * s can't overflow.
MOST = float(np.finfo(np.float32).max) * (1 - 2.0**-22)
#: Scales below it are sent as zero: s / scale doesn't overflow for s up to 2^16.
_LEAST = 2.0**-100


def narrowed(x: Tensor, dtype: torch.dtype) -> Tensor:
    """x rounded to the nearest float of this type; what is beyond its largest becomes that."""
    if torch.finfo(dtype).bits < torch.finfo(x.dtype).bits:
        most = torch.finfo(dtype).max
        return x.clamp(-most, most).to(dtype)
    return x.to(dtype)


def scales(x: Tensor, norm: str) -> Tensor:
    """A norm of each x[..., :] as it travels, shape (..., 1), of x's type.

    It is a 32-bit float and no smaller than any |x_k|, unless that is beyond 3.4e38. A norm below
    2^-100 = 8e-31 is sent as zero, and so is its x.

    Args:
        x: numbers, shape (..., d).
        norm: "2" or "max".
    """
    if norm == "2":
        found = torch.linalg.vector_norm(x, 2.0, dim=-1, keepdim=True).double()
        # In double precision, which takes long, where squares may have over- or underflowed.
        sure = (found > 1e-10) & (found < 1e18)
        if not sure.all():
            exact = torch.linalg.vector_norm(x, 2.0, dim=-1, keepdim=True, dtype=torch.float64)
            found = torch.where(sure, found, exact)
    else:
        found = x.abs().amax(-1, keepdim=True).double()
    # Rounding may take away 2^-24 of what is added here.
    found = found.mul_(1 + 2.0**-23).clamp_(max=MOST)
    return torch.threshold_(found, _LEAST, 0.0).float().to(x.dtype)


def inverse(scale: Tensor) -> Tensor:
    """1 / scale; for a scale of zero a finite number."""
    return scale.clamp(min=_LEAST).reciprocal_()
