"""Random-k sparsification (Stich et al. 2018, arXiv 1809.07599; Wangni et al. 2018).

Q(x)_i = (d / k) x_i for k places drawn without replacement, else 0.

Unbiased; E||Q(x) - x||^2 = (d / k - 1) ||x||^2. Without the factor d / k it is biased, but the
error is (1 - k / d) ||x||^2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import model_validator

from desim.tensors.compressors._sparse import Sparse, largest, taken
from desim.tensors.compressors.base import Error
from desim.tensors.lazy import torch
from desim.tensors.wire import Reader, Writer

if TYPE_CHECKING:
    from torch import Tensor


class RandomK(Sparse):
    """k random numbers as 32-bit floats; receivers draw the same places from a seed.

    The places are those of the k largest of d uniform random numbers.

    Attributes:
        contractive: without the factor d / k, as CHOCO-SGD and error feedback need.
        shared_seed: whether a 64-bit name of the draw is sent instead of the places.
    """

    kind: ClassVar[str] = "random-k"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"fraction": 0.5},
        {"k": 5, "contractive": True},
        {"fraction": 0.25, "shared_seed": False},
        {"k": 5, "shared_seed": False, "index_bits": 32},
    )
    error: ClassVar[Error] = "relative"
    random: ClassVar[bool] = True

    contractive: bool = False
    shared_seed: bool = True

    @property
    def shares_seed(self) -> bool:
        """As the field says."""
        return self.shared_seed

    @model_validator(mode="after")
    def _places_are_sent(self) -> Self:
        if self.shared_seed and self.index_bits is not None:
            raise ValueError(
                f"index_bits = {self.index_bits}: no place is sent; add shared_seed = false"
            )
        return self

    @property
    def unbiased(self) -> bool:
        """Unless it is contractive."""
        return not self.contractive

    def size_bits(self, parameters: int) -> int:
        """64 + 32 k, or k (32 + ceil(log2 d)) where places are sent."""
        k = self.kept(parameters)
        return 64 + 32 * k if self.shared_seed else k * (32 + self._index_bits(parameters))

    def error_bound(self, parameters: int) -> float:
        """d / k - 1, or 1 - k / d."""
        k = self.kept(parameters)
        return 1 - k / parameters if self.contractive else parameters / k - 1

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """The kept numbers among zeros."""
        assert uniform is not None
        places = largest(uniform, self.kept(rows.shape[1]))
        return self._spread(taken(rows, places), places, rows.shape[1])

    def _spread(self, numbers: Tensor, places: Tensor, parameters: int) -> Tensor:
        """Numbers, times d / k unless contractive, at their places among zeros."""
        if not self.contractive:
            most = torch.finfo(numbers.dtype).max
            numbers = (numbers * (parameters / places.shape[-1])).clamp_(-most, most)
        shape = (*numbers.shape[:-1], parameters)
        return numbers.new_zeros(shape).scatter_(-1, places, numbers)

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """The places or the draw's name, then the numbers."""
        assert uniform is not None
        [places] = largest(uniform[None], self.kept(len(x)))
        if self.shared_seed:
            # Zeros in the place of what names the draw: whoever decodes is given the draw itself.
            message.integers([0, 0], 32)
        else:
            self._write_places(places, len(x), message)
        message.floats(taken(x, places))

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """The numbers among zeros."""
        if self.shared_seed:
            assert uniform is not None
            message.integers(2, 32)
            [places] = largest(uniform[None], self.kept(parameters))
        else:
            places = self._read_places(parameters, message)
        numbers = torch.from_numpy(message.floats(len(places))).to(dtype)
        return self._spread(numbers, places, parameters)
