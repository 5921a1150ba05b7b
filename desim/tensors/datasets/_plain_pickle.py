"""Reads arrays and plain containers from a pickle and runs nothing that it asks for.

A pickle may name any function and have it called. Here four names are answered, those that an array
of bytes needs, and what stands behind them is this file's own: not even numpy sees the pickle's
values before they are checked.
"""

import io
import pickle
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from desim.schema.phrases import one_line


def loads(data: bytes) -> Any:
    """What is in a pickle: numbers, texts, lists, tables, and arrays of uint8.

    Texts that Python 2 wrote are bytes.

    Raises:
        ValueError: it holds anything else, or is broken.
    """
    try:
        return _plain(_Reader(data).load())
    except Exception as error:  # a broken pickle may raise nearly anything
        raise ValueError(one_line(f"{type(error).__name__}: {error}")) from None


class _Array:
    """An array in the making: the pickle gives it its contents after it was made."""

    __slots__ = ("values",)
    values: npt.NDArray[np.uint8] | None

    def __init__(self) -> None:
        self.values = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        if not isinstance(dtype, _Byte) or not isinstance(raw, bytes) or prod(shape) != len(raw):
            raise ValueError("an array must be of uint8, with as many bytes as its shape says")
        self.values = np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")


class _Byte:
    """The type uint8: its state tells the order of bytes, of which it has one."""

    __slots__ = ()

    def __setstate__(self, _state: Any) -> None:
        pass


class _Reader(pickle._Unpickler):
    """An unpickler that knows four names.

    It is the one in Python: the one in C makes a table as long as any number that a pickle names.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="bytes")

    def find_class(self, module: str, name: str) -> Any:
        """What a name stands for, or an error: nothing is imported."""
        if module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            module = "numpy"
        # Made anew for each question, so that nothing which a pickle sets on them outlives it.
        known: dict[tuple[str, str], Callable[..., Any] | None] = {
            ("numpy", "_reconstruct"): lambda *_: _Array(),
            ("numpy", "ndarray"): None,  # always an argument of _reconstruct
            ("numpy", "dtype"): lambda name, *_: _byte(name),
            ("_codecs", "encode"): lambda text, encoding: _encoded(text, encoding),
        }
        if (module, name) not in known:
            raise ValueError(f"asks for {module}.{name}")
        return known[module, name]


def _byte(name: Any) -> _Byte:
    if name not in ("u1", b"u1"):
        raise ValueError(f"an array of {name!r} must be of uint8")
    return _Byte()


def _encoded(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise ValueError("bytes must be written as latin1")
    return text.encode("latin1")


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.values
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value
