"""What a compressor is."""

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from desim.registry import Member


class Compressor(Member):
    """Q: a random (or not) function of a model, and its exact size on the wire.

    Attributes:
        billed_bits: charges the clock so many bits per parameter instead of the exact size; left
            out, the exact size. It is there to repeat experiments that counted otherwise.

    Class attributes:
        error: "none", "bounded" (E||Q(x) - x||^2 <= sigma^2 whatever x is) or "relative"
            (E||Q(x) - x||^2 <= eta^2 ||x||^2); `error_bound` gives sigma^2 or eta^2.
        unbiased: whether E Q(x) = x.
        random: whether it uses random numbers.
    """

    axis: ClassVar[str] = "compressors"
    error: ClassVar[Literal["none", "bounded", "relative"]]
    unbiased: ClassVar[bool]
    random: ClassVar[bool]

    billed_bits: Annotated[int, Field(ge=1)] | None = None

    @abstractmethod
    def size_bits(self, parameters: int) -> int:
        """Exact number of bits on the wire for one model of so many parameters."""

    def sent_bits(self, parameters: int) -> int:
        """What the links are given to carry: the exact size, or what is billed instead."""
        if self.billed_bits is not None:
            return self.billed_bits * parameters
        return self.size_bits(parameters)

    @abstractmethod
    def error_bound(self, parameters: int) -> float:
        """sigma^2 for a bounded error, eta^2 for a relative one, 0 for none."""

    @abstractmethod
    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """What arrives, shape (rows, parameters), for each row of the same shape.

        Args:
            rows: one model a row; must not be changed.
            uniform: uniform numbers in (0, 1) of the same shape where `random`, else None; they
                may be overwritten.
        """
