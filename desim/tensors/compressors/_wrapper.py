"""What the compressors that change how another one is used have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from desim.tensors.compressors.base import Compressor, Error
from desim.tensors.lazy import torch
from desim.tensors.wire import Reader, Writer

if TYPE_CHECKING:
    from torch import Tensor


class Wrapper(Compressor):
    """Base of compressors around an inner one: a member overrides what it does itself.

    Attributes:
        compressor: the inner one.
    """

    compressor: Compressor

    @property
    def error(self) -> Error:
        """What the inner compressor's error bound means."""
        return self.compressor.error

    @property
    def unbiased(self) -> bool:
        """Whether the inner compressor is unbiased."""
        return self.compressor.unbiased

    @property
    def random(self) -> bool:
        """Whether the inner compressor draws random numbers."""
        return self.compressor.random

    @property
    def keeps_zeros(self) -> bool:
        """Whether the inner compressor keeps zeros."""
        return self.compressor.keeps_zeros

    @property
    def memory(self) -> bool:
        """Whether the inner compressor has memory."""
        return self.compressor.memory

    @property
    def sized_by_content(self) -> bool:
        """Whether the inner compressor's sizes depend on the numbers, unless others are billed."""
        return self.billed_bits is None and self.compressor.sized_by_content

    @property
    def shares_seed(self) -> bool:
        """Whether the inner compressor's receivers draw its random numbers."""
        return self.compressor.shares_seed

    @property
    def refuses_nonfinite(self) -> bool:
        """Whether the inner compressor refuses nan and infinity."""
        return self.compressor.refuses_nonfinite

    def size_bits(self, parameters: int) -> int:
        """The inner compressor's size."""
        return self.compressor.size_bits(parameters)

    def content_bits(self, x: Tensor, uniform: Tensor | None) -> int:
        """The inner compressor's size of this message."""
        return self.compressor.content_bits(x, uniform)

    def sent_bits(self, parameters: int) -> int:
        """What is billed here, or else what the inner compressor sends."""
        if self.billed_bits is not None:
            return super().sent_bits(parameters)
        return self.compressor.sent_bits(parameters)

    def error_bound(self, parameters: int) -> float:
        """The inner compressor's bound."""
        return self.compressor.error_bound(parameters)

    def fitted(self, layers: tuple[int, ...]) -> Compressor:
        """With the inner compressor fitted."""
        return self.model_copy(update={"compressor": self.compressor.fitted(layers)})

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """What arrives from the inner compressor."""
        return self.compressor(rows, uniform=uniform)

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """The inner compressor's message."""
        self.compressor.write(x, uniform, message)

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """What the inner compressor's message means."""
        return self.compressor.read(message, parameters, dtype, uniform)
