"""What the compressors that change how another one is used have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from desim.tensors.compressors.base import Compressor, Error
from desim.tensors.lazy import torch
from desim.tensors.wire import Reader, Writer

if TYPE_CHECKING:
    from torch import Tensor


class Wrapper(Compressor):
    """Base of compressors that hand everything on to another; a member says what it does itself.

    Attributes:
        compressor: the other one.
    """

    compressor: Compressor

    @property
    def error(self) -> Error:
        """The other's."""
        return self.compressor.error

    @property
    def unbiased(self) -> bool:
        """The other's."""
        return self.compressor.unbiased

    @property
    def random(self) -> bool:
        """The other's."""
        return self.compressor.random

    @property
    def keeps_zeros(self) -> bool:
        """The other's."""
        return self.compressor.keeps_zeros

    @property
    def memory(self) -> bool:
        """The other's."""
        return self.compressor.memory

    @property
    def sized_by_content(self) -> bool:
        """The other's, unless something else is billed."""
        return self.billed_bits is None and self.compressor.sized_by_content

    @property
    def shares_seed(self) -> bool:
        """The other's."""
        return self.compressor.shares_seed

    @property
    def refuses_nonfinite(self) -> bool:
        """The other's."""
        return self.compressor.refuses_nonfinite

    def size_bits(self, parameters: int) -> int:
        """The other's."""
        return self.compressor.size_bits(parameters)

    def content_bits(self, x: Tensor, uniform: Tensor | None) -> int:
        """The other's."""
        return self.compressor.content_bits(x, uniform)

    def sent_bits(self, parameters: int) -> int:
        """What is billed here, or else the other's."""
        if self.billed_bits is not None:
            return super().sent_bits(parameters)
        return self.compressor.sent_bits(parameters)

    def error_bound(self, parameters: int) -> float:
        """The other's."""
        return self.compressor.error_bound(parameters)

    def fitted(self, layers: tuple[int, ...]) -> Compressor:
        """With the other one fitted."""
        return self.model_copy(update={"compressor": self.compressor.fitted(layers)})

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """The other's."""
        return self.compressor(rows, uniform=uniform)

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """The other's."""
        self.compressor.write(x, uniform, message)

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """The other's."""
        return self.compressor.read(message, parameters, dtype, uniform)
