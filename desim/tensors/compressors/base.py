"""What a compressor is."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from pydantic import Field

from desim.errors import ScenarioError
from desim.schema.phrases import short
from desim.schema.registry import Member
from desim.tensors.lazy import torch
from desim.tensors.wire import Reader, Writer

if TYPE_CHECKING:
    from torch import Tensor


Error = Literal["none", "bounded", "relative"]


class Compressor(Member):
    """Q: a random (or not) function of a model, and its message on the wire.

    A compressor says what arrives (`__call__`), how many bits it takes (`size_bits`), and proves it
    with a real message (`write`, `read`): the tests hold the three against each other.

    Numbers that travel as 32-bit floats are rounded for real, also where models are 64-bit, and
    those beyond the largest such float arrive as that. A norm or a largest number that others are
    multiples of is sent as zero below 2^-100 = 8e-31. Error bounds are meant apart from this.

    Attributes:
        billed_bits: charges the clock so many bits per parameter instead of the exact size; left
            out, the exact size. It is there to repeat experiments that counted otherwise.
    """

    axis: ClassVar[str] = "compressors"

    billed_bits: Annotated[int, Field(ge=1)] | None = None

    @property
    @abstractmethod
    def error(self) -> Error:
        """What `error_bound` gives.

        "none", "bounded" (E||Q(x) - x||^2 <= sigma^2 whatever x is) or "relative"
        (E||Q(x) - x||^2 <= eta^2 ||x||^2).
        """

    @property
    @abstractmethod
    def unbiased(self) -> bool:
        """Whether E Q(x) = x."""

    @property
    @abstractmethod
    def random(self) -> bool:
        """Whether it uses random numbers."""

    @property
    def keeps_zeros(self) -> bool:
        """Whether zeros arrive as zeros, and nothing with the other sign."""
        return True

    @property
    def memory(self) -> bool:
        """Whether a worker shall add what its last message left out to what it sends next."""
        return False

    @property
    def sized_by_content(self) -> bool:
        """Whether the size of a message depends on the numbers in it: see `content_bits`."""
        return False

    @property
    def shares_seed(self) -> bool:
        """Whether receivers draw the sender's random numbers themselves: `decode` needs them."""
        return False

    @property
    def refuses_nonfinite(self) -> bool:
        """Whether a simulation shall stop where it is given a nan or an infinity."""
        return True

    @abstractmethod
    def size_bits(self, parameters: int) -> int:
        """Exact number of bits on the wire for one model of so many parameters.

        Where the size depends on the content, what is to be expected at most.
        """

    def content_bits(self, x: Tensor, uniform: Tensor | None) -> int:
        """Exact number of bits of the message of x, with the arguments of `encode`."""
        return self._written(x, uniform).bits

    def sent_bits(self, parameters: int) -> int:
        """What the links are given to carry: `size_bits`, or what is billed instead."""
        if self.billed_bits is not None:
            return self.billed_bits * parameters
        return whole_bits(self, self.size_bits(parameters))

    @abstractmethod
    def error_bound(self, parameters: int) -> float:
        """sigma^2 for a bounded error, eta^2 for a relative one, 0 for none."""

    def fitted(self, layers: tuple[int, ...]) -> Compressor:
        """The compressor for a model whose parameter tensors have so many numbers each."""
        return self

    @abstractmethod
    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """What arrives, shape (rows, parameters), for each row of the same shape.

        Args:
            rows: one model a row, finite; must not be changed.
            uniform: uniform numbers in (0, 1) of the same shape where `random`, else None; they
                may be overwritten.
        """

    @abstractmethod
    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """Writes the message of one finite model, shape (parameters,); arguments as in `encode`."""

    @abstractmethod
    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """What arrives, shape (parameters,), from what `write` wrote; arguments as in `decode`."""

    def encode(self, x: Tensor, uniform: Tensor | None) -> bytes:
        """The message that carries one model.

        Its length is the exact size rounded up to whole bytes.

        Args:
            x: the model, shape (parameters,).
            uniform: random numbers of that shape where `random`, else None; may be overwritten.

        Raises:
            ValueError: x has a nan or an infinity.
        """
        if (bad := first_nonfinite(x)) is not None:
            raise ValueError(f"x[{bad}] = {float(x[bad])}: must be finite to be sent")
        return self._written(x, uniform).to_bytes()

    def _written(self, x: Tensor, uniform: Tensor | None) -> Writer:
        message = Writer()
        self.write(x.cpu(), None if uniform is None else uniform.cpu(), message)
        return message

    def decode(
        self,
        data: bytes,
        parameters: int,
        dtype: torch.dtype | None = None,
        uniform: Tensor | None = None,
    ) -> Tensor:
        """What arrives, shape (parameters,): what `__call__` gives, bit for bit.

        Args:
            data: a message of `encode`.
            parameters: the model's size.
            dtype: float32 or float64, as the model was; left out, float32.
            uniform: the random numbers that `encode` was given, where `shares_seed`.

        Raises:
            ValueError: the message is too short or too long.
        """
        message = Reader(data)
        dtype = dtype or torch.float32
        x = self.read(message, parameters, dtype, None if uniform is None else uniform.cpu())
        message.end()
        return x


def whole_bits(compressor: Compressor, bits: object) -> int:
    """The size of a message as a plain number.

    Raises:
        ScenarioError: it isn't a whole number of bits, 0 or more.
    """
    if type(bits) is int and bits >= 0:
        return bits
    with suppress(TypeError, ValueError, OverflowError):
        whole = int(cast(Any, bits))
        if not isinstance(bits, bool | str) and whole == bits and whole >= 0:
            return whole
    raise ScenarioError(
        f"compressor = {compressor.table()}: gives {short(bits)} as the size of a message in bits; "
        "must be a whole number, 0 or more"
    )


def first_nonfinite(x: Tensor) -> int | None:
    """Where the first nan or infinity stands in x, shape (parameters,); None where there is none.

    A sum tells at a fraction of the price that all are finite; only if it isn't, each is looked at:
    it may have overflowed.
    """
    if x.sum().isfinite():
        return None
    bad = x.isfinite().logical_not().nonzero()
    return int(bad[0, 0]) if len(bad) else None
