"""The store: one tensor whose rows hold every model, message and gradient that is still needed."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Rows = npt.NDArray[np.int64]

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
            self._free[first : first + count] = b"\x00" * count
            return np.arange(first, first + count)
        rows = np.flatnonzero(np.frombuffer(self._free, np.uint8))[:count]
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

    def index(self, rows: Rows) -> slice | Tensor:
        """What selects these rows: a slice where they lie next to each other in this order."""
        if is_run(rows):
            return slice(int(rows[0]), int(rows[0]) + len(rows))
        return torch.from_numpy(rows).to(self.data.device)


def is_run(rows: Rows) -> bool:
    """Whether the rows are consecutive and ascending."""
    return (
        bool(len(rows))
        and bool(rows[-1] - rows[0] == len(rows) - 1)
        and (len(rows) < 3 or bool((np.diff(rows) == 1).all()))
    )
