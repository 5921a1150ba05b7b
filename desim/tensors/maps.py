"""Row-wise functions, many rows at a time, in blocks that fit in cache."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from desim.streams import Streams
from desim.tensors.refs import Draw, Map
from desim.tensors.store import Store

Keys = npt.NDArray[np.uint64]

#: A block holds about so many numbers: 1 MiB of float32.
_BLOCK_NUMBERS = 1 << 18


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
        self._half = torch.tensor(0.5 + self._cell / 2, dtype=dtype)
        self._bits = np.random.SFC64(0)
        self._state = self._bits.state

    def keys(self, draws: Sequence[Draw]) -> Keys:
        """Where each draw's stream starts, shape (len(draws), 4); draws share a purpose."""
        workers = np.array([[draw.worker] for draw in draws])
        steps = np.array([[draw.step] for draw in draws])
        keys = self._streams.words(draws[0].purpose, workers, steps, np.arange(4))
        keys[:, 3] = 1  # SFC64's own way to start: three words, and a counter at 1
        return keys

    def fill(self, out: Tensor, keys: Keys) -> None:
        """Fills out, shape (len(keys), d)."""
        per_word = 8 // np.dtype(self._integer).itemsize
        words = np.empty((len(keys), -(-out.shape[1] // per_word)), np.uint64)
        for row, key in enumerate(keys):
            self._state["state"]["state"] = key
            self._bits.state = self._state
            self._bits.random_raw(12, output=False)  # what numpy throws away after seeding
            words[row] = self._bits.random_raw(words.shape[1])
        integers = torch.from_numpy(words.view(self._integer)[:, : out.shape[1]])
        torch.add(self._half, out.copy_(integers), alpha=self._cell, out=out)


class Maps:
    """Evaluates ready maps that share a function.

    Args:
        store: where the rows are.
        uniforms: for functions that draw.
    """

    def __init__(self, store: Store, uniforms: Uniforms) -> None:
        self._store, self._uniforms = store, uniforms

    def __call__(self, nodes: Sequence[Map]) -> None:
        """Gives every node its row."""
        outputs = self._store.take(len(nodes))
        keys = self._uniforms.keys([node.draw for node in nodes])
        per_block = max(1, _BLOCK_NUMBERS // self._store.data.shape[1])
        for start in range(0, len(nodes), per_block):
            block = slice(start, start + per_block)
            self._block(nodes[block], keys[block], self._store.index(outputs[block]))
        for node, row in zip(nodes, outputs.tolist(), strict=True):
            node.row = row

    def _block(self, nodes: Sequence[Map], keys: Keys, target: slice | Tensor) -> None:
        data = self._store.data
        function = nodes[0].function
        inputs = [
            data[self._store.index(np.array([node.inputs[k].row for node in nodes]))]
            for k in range(len(nodes[0].inputs))
        ]
        # The output's own rows hold the random numbers first: one pass over memory less for
        # functions that work in place.
        out = data[target] if isinstance(target, slice) else data.new_empty(inputs[0].shape)
        if function.random:
            self._uniforms.fill(out, keys)
        result = function(*inputs, uniform=out if function.random else None)
        if result.data_ptr() != out.data_ptr():
            out.copy_(result)
        if not isinstance(target, slice):
            data.index_copy_(0, target, out)
