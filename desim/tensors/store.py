"""The store: one tensor whose rows hold every model, message and gradient that is still needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from desim.tensors.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


#: Row numbers; plain integers, since a batch has few and each belongs to one operation.
Rows = Sequence[int]

#: What selects rows of a tensor.
Index: TypeAlias = "slice | Tensor"

#: Rows begin at multiples of 64 bytes, so that kernels meet the same alignment in every run.
_ALIGN = 16


class Store:
    """Rows of `parameters` numbers, handed out and given back.

    Args:
        parameters: numbers in a row.
        rows: how many rows to begin with; the store doubles when it is full.
        dtype: float32 or float64.
        device: where the rows live.

    Attributes:
        data: (rows, parameters), strided; replaced when the store grows, so don't keep it.
        live: rows in use.
        peak: the largest number of rows that were ever in use.
    """

    def __init__(
        self, parameters: int, rows: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.parameters = parameters
        self._free = bytearray(b"\x01" * rows)
        self._memory = self._allocate(rows, dtype, device)
        self.data = self._memory[:, :parameters]
        self.live = self.peak = 0

    def _allocate(self, rows: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        # Untouched pages cost nothing on a CPU, so room for many rows is cheap.
        width = -(-self.parameters // _ALIGN) * _ALIGN
        return torch.empty(rows, width, dtype=dtype, device=device)

    def take(self, count: int) -> Rows:
        """Free rows, next to each other where such a run exists."""
        self.live += count
        self.peak = max(self.peak, self.live)
        if self.live > len(self._free):
            self._grow(max(2 * len(self._free), self.live))
        first = self._free.find(b"\x01" * count)
        if first >= 0:
            self._free[first : first + count] = bytes(count)
            return range(first, first + count)
        rows: list[int] = np.flatnonzero(np.frombuffer(self._free, np.uint8))[:count].tolist()
        for row in rows:
            self._free[row] = 0
        return rows

    def release(self, row: int) -> None:
        """Gives a row back."""
        self._free[row] = 1
        self.live -= 1

    def _grow(self, rows: int) -> None:
        old = self._memory
        self._memory = self._allocate(rows, old.dtype, old.device)
        self._memory[: len(old)] = old
        self.data = self._memory[:, : self.parameters]
        self._free.extend(b"\x01" * (rows - len(old)))

    def index(self, rows: Rows) -> Index:
        """What selects these rows: a slice where they lie next to each other in this order."""
        run = range(rows[0], rows[0] + len(rows)) if rows else range(0)
        if rows == run or list(rows) == list(run):
            return slice(run.start, run.stop)
        return torch.tensor(rows, device=self.data.device)


def part(index: Index, start: int, stop: int) -> Index:
    """The index of some of the rows."""
    if isinstance(index, slice):
        return slice(index.start + start, min(index.start + stop, index.stop))
    if stop - start == 1:  # one row is read where it lies
        row = int(index[start])
        return slice(row, row + 1)
    return index[start:stop]
