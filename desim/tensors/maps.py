"""Row-wise functions, many rows at a time, in blocks that fit in cache."""

from collections.abc import Sequence
from math import isfinite

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from desim.errors import NonFiniteError, ScenarioError
from desim.schema.own_code import name_of
from desim.streams import Streams
from desim.tensors.compressors.base import Compressor, first_nonfinite
from desim.tensors.refs import Draw, Map, RowFunction
from desim.tensors.store import Index, Store, part

Keys = npt.NDArray[np.uint64]

#: A block holds about so many numbers, at least one row: its inputs, its outputs and its random
#: bits fit in half of a 2 MiB second-level cache.
_BLOCK_NUMBERS = 1 << 17


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
        self._integer = np.dtype(np.int16 if dtype == torch.float32 else np.int32)
        self._cell = 2.0 ** (-16 if dtype == torch.float32 else -32)
        self._half = torch.tensor(0.5 + self._cell / 2, dtype=dtype)
        self._bits = np.random.SFC64(0)
        self._state = self._bits.state

    def keys(self, draws: Sequence[Draw]) -> Keys:
        """Where each draw's stream starts, shape (len(draws), 4); draws share a purpose."""
        named = np.array([(draw.worker, draw.step) for draw in draws])
        keys = self._streams.words(draws[0].purpose, named[:, :1], named[:, 1:], np.arange(4))
        keys[:, 3] = 1  # SFC64's own way to start: three random words, and a counter at 1
        return keys

    def fill(self, out: Tensor, keys: Keys) -> None:
        """Fills out, shape (len(keys), d)."""
        bits, state, columns = self._bits, self._state, out.shape[1]
        words = -(-columns * self._integer.itemsize // 8)
        on_host = out.device.type == "cpu"
        integers = out.numpy() if on_host else np.empty(out.shape, self._integer)
        for row, key in zip(integers, keys, strict=True):
            # The words of a key are mixed well: nothing has to be thrown away first.
            state["state"]["state"] = key
            bits.state = state
            row[:] = bits.random_raw(words).view(self._integer)[:columns]
        if not on_host:
            out.copy_(torch.from_numpy(integers))
        torch.add(self._half, out, alpha=self._cell, out=out)


class Maps:
    """Evaluates ready maps that share a function.

    Args:
        store: where the rows are.
        uniforms: for functions that draw.
    """

    def __init__(self, store: Store, uniforms: Uniforms) -> None:
        self._store, self._uniforms, self._results = store, uniforms, Results()

    def __call__(self, nodes: Sequence[Map]) -> None:
        """Gives every node its row."""
        store, count = self._store, len(nodes)
        outputs = store.take(count)
        target = store.index(outputs)
        sources = [
            store.index([node.inputs[k].row for node in nodes]) for k in range(len(nodes[0].inputs))
        ]
        function = nodes[0].function
        keys = self._uniforms.keys([node.draw for node in nodes]) if function.random else None
        per_block = max(1, _BLOCK_NUMBERS // (store.parameters * len(sources)))
        for start in range(0, count, per_block):
            stop = start + per_block
            inputs = [store.data[part(source, start, stop)] for source in sources]
            refuse_nonfinite(function, inputs, [node.draw for node in nodes[start:stop]])
            self._block(
                function,
                inputs,
                part(target, start, stop),
                None if keys is None else keys[start:stop],
            )
        for node, row in zip(nodes, outputs, strict=True):
            node.row = row

    def _block(
        self, function: RowFunction, inputs: list[Tensor], target: Index, keys: Keys | None
    ) -> None:
        data = self._store.data
        # The output's own rows hold the random numbers first: one pass over memory less for
        # functions that work in place.
        out = data[target] if isinstance(target, slice) else torch.empty_like(inputs[0])
        uniform = None if keys is None else out
        if keys is not None:
            self._uniforms.fill(out, keys)
        result = function(*inputs, uniform=uniform)
        self._results.check(function, out, result)
        if result.data_ptr() != out.data_ptr():
            out.copy_(result)
        if not isinstance(target, slice):
            data.index_copy_(0, target, out)


class Results:
    """What functions of rows give is one row for each; a compressor is looked at once."""

    def __init__(self) -> None:
        self._seen: dict[int, Compressor] = {}

    def check(self, function: RowFunction, rows: Tensor, result: object) -> None:
        """Looks at a result.

        Args:
            function: of rows.
            rows: of the shape and type that the result must have.
            result: what it gave.

        Raises:
            ScenarioError: it has another shape or type, or isn't finite.
        """
        if id(function) in self._seen:
            return
        if (
            not isinstance(result, Tensor)
            or result.shape != rows.shape
            or result.dtype != rows.dtype
        ):
            what = type(result).__name__
            if isinstance(result, Tensor):
                what = f"shape {tuple(result.shape)}, {result.dtype}"
            raise ScenarioError(
                f"{_key(function)} gives {what} for rows of shape {tuple(rows.shape)}, "
                f"{rows.dtype}; must have their shape and type"
            )
        if not isinstance(function, Compressor):  # made anew for each call
            return
        self._seen[id(function)] = function  # held, so that its id stays its own
        if function.refuses_nonfinite and first_nonfinite(result.flatten()) is not None:
            raise ScenarioError(
                f"{_key(function)} makes finite numbers into ones that aren't; must be finite"
            )


def _key(function: RowFunction) -> str:
    if isinstance(function, Compressor):
        return f"compressor = {function.table()}:"
    return f"map: {name_of(getattr(function, 'function', function))}"


def refuse_nonfinite(
    function: RowFunction, inputs: Sequence[Tensor], draws: Sequence[Draw]
) -> None:
    """Stops before a function that refuses nan and infinity is given any.

    Args:
        function: of rows.
        inputs: its arguments, tensors (len(draws), parameters).
        draws: what names the rows.

    Raises:
        NonFiniteError: with the first row and what is wrong with it.
    """
    if not function.refuses_nonfinite:
        return
    for rows in inputs:
        if isfinite(rows.sum()):  # far cheaper than to look at each number
            continue
        for row, (_, worker, step) in zip(rows, draws, strict=True):
            if (bad := first_nonfinite(row)) is not None:
                name = getattr(function, "kind", type(function).__name__)
                raise NonFiniteError(
                    f"worker {worker}'s message {step} has {float(row[bad])} as number {bad}: "
                    f"{name} can't send it; has training diverged? a smaller step_size may help",
                    worker,
                    step,
                )
