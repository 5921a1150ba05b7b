"""Bits on the wire: integers, floats and Elias codes, packed one after another without gaps.

A message is the bits that a `Writer` was given, the first in the highest place of the first byte,
with zeros up to a whole byte at the end. Nothing says what the bits mean: the `Reader` has to ask
for the same things in the same order.
"""

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]


class Writer:
    """Packs numbers into a message.

    Attributes:
        bits: how many have been written.
    """

    def __init__(self) -> None:
        self._parts: list[Bits] = []
        self.bits = 0

    def integers(self, values: npt.ArrayLike, width: int) -> None:
        """The lowest so many bits of integers, at most 62; negative ones in two's complement."""
        shifts = np.arange(width - 1, -1, -1)
        self._add(np.asarray(values, np.int64).reshape(-1, 1) >> shifts & 1)

    def floats(self, values: npt.ArrayLike, width: int = 32) -> None:
        """IEEE 754 floats of 16, 32 or 64 bits; wider numbers are rounded to the nearest."""
        packed = np.asarray(values).astype(f">f{width // 8}")
        self._add(np.unpackbits(packed.reshape(-1).view(np.uint8)))

    def elias(self, values: npt.ArrayLike) -> None:
        """Positive integers below 2^40 in Elias' omega code (Elias 1975).

        The code of k ends with a 0; before it stands k in binary unless k = 1, before that the
        number of bits of k less one in the same manner, and so on.
        """
        group = np.asarray(values, np.int64).reshape(-1)
        lengths = elias_bits(group)
        codes = np.zeros_like(group)
        done = np.ones_like(group)  # bits written so far, from the end: the 0
        while (more := group > 1).any():
            codes[more] |= group[more] << done[more]
            width = _width(group)
            done += np.where(more, width, 0)
            group = np.where(more, width - 1, group)
        # Bit number (length - 1 - place) of each code, for all places of all codes in a row.
        owner = np.repeat(np.arange(len(codes)), lengths)
        from_end = np.repeat(np.cumsum(lengths), lengths) - 1 - np.arange(len(owner))
        self._add(codes[owner] >> from_end & 1)

    def to_bytes(self) -> bytes:
        """The message."""
        return np.packbits(np.concatenate([np.empty(0, np.uint8), *self._parts])).tobytes()

    def _add(self, bits: npt.NDArray[np.integer]) -> None:
        self._parts.append(bits.astype(np.uint8).reshape(-1))
        self.bits += bits.size


class Reader:
    """Takes a message apart; every method raises ValueError where it ends too early.

    Args:
        data: the message.
    """

    def __init__(self, data: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(data, np.uint8))
        self._at = 0

    def integers(self, count: int, width: int) -> Integers:
        """So many integers of so many bits each."""
        bits = self._take(count * width).reshape(count, width)
        return bits.astype(np.int64) @ (np.int64(1) << np.arange(width - 1, -1, -1))

    def floats(self, count: int, width: int = 32) -> npt.NDArray[np.floating]:
        """So many floats of 16, 32 or 64 bits each."""
        packed = np.packbits(self._take(count * width))
        return packed.view(f">f{width // 8}").astype(f"f{width // 8}")

    def elias(self, count: int) -> Integers:
        """So many integers in Elias' omega code: one by one, as where one begins is known last."""
        text = (self._bits[self._at :] + ord("0")).tobytes()
        values, at = [], 0
        for _ in range(count):
            value = 1
            while text[at : at + 1] == b"1":
                end = at + value + 1
                value, at = int(text[at:end], 2), end
            values.append(value)
            at += 1
        self._take(at)
        return np.array(values, np.int64)

    def end(self) -> None:
        """Raises ValueError where more is left than what fills the last byte."""
        if len(self._bits) - self._at >= 8:
            raise ValueError(f"{len(self._bits) - self._at} bits are left: must be fewer than 8")

    def _take(self, count: int) -> Bits:
        self._at += count
        if self._at > len(self._bits):
            raise ValueError(f"{len(self._bits)} bits: must be at least {self._at}")
        return self._bits[self._at - count : self._at]


def elias_bits(values: npt.ArrayLike) -> Integers:
    """How long each integer's omega code is: l(1) = 1, l(k) = l(floor(log2 k)) + floor(log2 k) + 1.

    Args:
        values: positive integers.
    """
    return _ELIAS_BITS[_width(np.asarray(values))]


def _width(values: npt.NDArray[np.integer]) -> Integers:
    """floor(log2 k) + 1, the number of binary digits."""
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)


def _elias_bits(width: int) -> int:
    """l(k) for any k of so many binary digits."""
    return 1 if width == 1 else _elias_bits((width - 1).bit_length()) + width


_ELIAS_BITS = np.array([0, *map(_elias_bits, range(1, 63))])
