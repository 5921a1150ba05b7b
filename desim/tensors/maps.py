"""Row-wise functions, many rows at a time, in blocks that fit in cache."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from desim.streams import Streams
from desim.tensors.refs import Draw, Map
from desim.tensors.store import Store

#: A block holds about so many numbers: 256 KiB of float32.
_BLOCK_NUMBERS = 1 << 16


class Uniforms:
    """Uniform numbers in (0, 1), a row's own stream named by its draw.

    16 random bits for float32 rows, which is as fine as float32 resolves the fractional part of a
    number quantized to some hundred levels, and 32 for float64. The middle of each cell is used, so
    that the mean is exactly 1/2.

    Args:
        streams: the trial's random numbers.
        dtype: float32 or float64.
    """

    def __init__(self, streams: Streams, dtype: torch.dtype) -> None:
        self._streams = streams
        self._integer = np.int16 if dtype == torch.float32 else np.int32
        self._cell = 2.0 ** (-16 if dtype == torch.float32 else -32)
        self._bits = np.random.SFC64(0)
        self._state = self._bits.state

    def fill(self, out: Tensor, draws: Sequence[Draw]) -> None:
        """Fills out, shape (len(draws), d)."""
        per_word = 8 // np.dtype(self._integer).itemsize
        words = np.empty((len(draws), -(-out.shape[1] // per_word)), np.uint64)
        for row, key in enumerate(self._keys(draws)):
            # SFC64's own way to start: three words, a counter at 1, twelve draws thrown away.
            self._state["state"]["state"] = np.append(key, np.uint64(1))
            self._bits.state = self._state
            self._bits.random_raw(12, output=False)
            words[row] = self._bits.random_raw(words.shape[1])
        integers = torch.from_numpy(words.view(self._integer)[:, : out.shape[1]])
        out.copy_(integers).mul_(self._cell).add_(0.5 + self._cell / 2)

    def _keys(self, draws: Sequence[Draw]) -> Sequence[np.ndarray[tuple[int], np.dtype[np.uint64]]]:
        workers = np.array([[draw.worker] for draw in draws])
        steps = np.array([[draw.step] for draw in draws])
        return list(self._streams.words(draws[0].purpose, workers, steps, np.arange(3)))


class Maps:
    """Evaluates ready maps that share a function.

    Args:
        store: where the rows are.
        uniforms: for functions that draw.
    """

    def __init__(self, store: Store, uniforms: Uniforms) -> None:
        self._store, self._uniforms = store, uniforms
        self._scratch = torch.empty(0)

    def __call__(self, nodes: Sequence[Map]) -> None:
        """Gives every node its row."""
        outputs = self._store.take(len(nodes))
        per_block = max(1, _BLOCK_NUMBERS // self._store.data.shape[1])
        for start in range(0, len(nodes), per_block):
            part = nodes[start : start + per_block]
            self._block(part, self._store.index(outputs[start : start + per_block]))
        for node, row in zip(nodes, outputs.tolist(), strict=True):
            node.row = row

    def _block(self, nodes: Sequence[Map], target: slice | Tensor) -> None:
        data = self._store.data
        function = nodes[0].function
        inputs = [
            data[self._store.index(np.array([node.inputs[k].row for node in nodes]))]
            for k in range(len(nodes[0].inputs))
        ]
        uniform = None
        if function.random:
            size = len(nodes) * data.shape[1]
            if self._scratch.numel() < size:
                self._scratch = data.new_empty(size)
            uniform = self._scratch[:size].view(len(nodes), data.shape[1])
            self._uniforms.fill(uniform, [node.draw for node in nodes])
        data[target] = function(*inputs, uniform=uniform)
