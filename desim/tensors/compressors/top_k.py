"""Top-k sparsification (Stich et al. 2018, arXiv 1809.07599; Aji and Heafield 2017).

Q(x)_i = x_i for the k numbers of the largest magnitude, else 0.

Biased; ||Q(x) - x||^2 <= (1 - k / d) ||x||^2. It is meant for differences (CHOCO-SGD) or with
`error-feedback`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from desim.tensors.compressors._sparse import Sparse, largest, taken
from desim.tensors.compressors.base import Error
from desim.tensors.lazy import torch
from desim.tensors.wire import Reader, Writer

if TYPE_CHECKING:
    from torch import Tensor


class TopK(Sparse):
    """The k numbers of the largest magnitude as 32-bit floats, and their places."""

    kind: ClassVar[str] = "top-k"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"fraction": 0.01},
        {"fraction": 0.5},
        {"k": 5, "index_bits": 32},
    )
    error: ClassVar[Error] = "relative"
    unbiased: ClassVar[bool] = False
    random: ClassVar[bool] = False

    def size_bits(self, parameters: int) -> int:
        """k (32 + ceil(log2 d)), or with `index_bits` instead of the logarithm."""
        return self.kept(parameters) * (32 + self._index_bits(parameters))

    def error_bound(self, parameters: int) -> float:
        """1 - k / d."""
        return 1 - self.kept(parameters) / parameters

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """The kept numbers among zeros."""
        places = largest(rows.abs(), self.kept(rows.shape[1]))
        return torch.zeros_like(rows).scatter_(1, places, taken(rows, places))

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """The places, then the numbers."""
        [places] = largest(x[None].abs(), self.kept(len(x)))
        self._write_places(places, len(x), message)
        message.floats(taken(x, places))

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """The numbers among zeros."""
        places = self._read_places(parameters, message)
        numbers = torch.from_numpy(message.floats(len(places))).to(dtype)
        return torch.zeros(parameters, dtype=dtype).scatter_(0, places, numbers)
