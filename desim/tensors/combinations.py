"""Linear combinations of rows, many at a time: a coefficient matrix times the stored rows.

Sources that several outputs share (the neighbours' messages) go through one matrix product, dense
or sparse; those that only one output uses (its own model, its own gradient) are added row by row.
Everything is done in blocks of columns, so that the sources of a block stay in cache.
"""

import warnings
from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from desim.tensors.refs import Combination
from desim.tensors.store import Index, Rows, Store

Places = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

#: Below this share of non-zero coefficients the product is sparse. Measured on one thread with
#: 39,760 columns: 1,000 outputs of degree 20 take 0.12 s instead of 0.6; the two cost the same at
#: shares of 0.17 for 300 outputs, 0.1 for 100 and 0.05 for 50.
_SPARSE_BELOW = 0.1

#: Private sources are added one rank after another while there are at most so many per output. A
#: synchronous round has two (own model and gradient); in the product they would make it a third
#: slower. Asynchronous workers, few at a time, gain nothing and lose 5% with each rank above two.
_MOST_RANKS = 3

#: A block's sources take at most so many bytes: half of a 2 MiB second-level cache.
_BLOCK_BYTES = 1 << 20


class Entries(NamedTuple):
    """The coefficients that aren't zero, output by output.

    Attributes:
        outputs, columns: where they stand in the coefficient matrix.
        values: the coefficients; those of the same place add up.
        sources: for each column its row of the store. Columns are in the operations' order, which
            makes sums come out the same wherever the rows happen to lie.
    """

    outputs: Places
    columns: Places
    values: Numbers
    sources: Places


class Combinations:
    """Evaluates ready combinations.

    Args:
        store: where the rows are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._scratch = [torch.empty(0), torch.empty(0), torch.empty(0)]

    def __call__(self, nodes: Sequence[Combination]) -> None:
        """Gives every node its row."""
        outputs = self._store.take(len(nodes))
        self._evaluate(entries(nodes), outputs)
        for node, row in zip(nodes, outputs, strict=True):
            node.row = row

    def _evaluate(self, found: Entries, outputs: Rows) -> None:
        store, data = self._store, self._store.data
        shared, ranks = split(found)
        columns, weights = self._weights(shared, len(outputs))
        shared_index = store.index(shared.sources[columns].tolist())
        private = [self._addend(rank, len(outputs)) for rank in ranks]
        target = store.index(outputs)
        count = max(len(columns), len(outputs))
        width = max(512, _BLOCK_BYTES // (count * data.element_size()) // 16 * 16)
        for start in range(0, data.shape[1], width):
            block = data[:, start : start + width]
            if isinstance(target, slice):
                out = block[target]
            else:
                out = self._buffer(0, len(outputs), block.shape[1], data)
            if len(columns):
                _product(weights, self._rows(1, block, shared_index), out)
            else:
                out.zero_()
            for index, users, factor in private:
                rows = self._rows(2, block, index)
                if isinstance(factor, float):
                    out.add_(rows, alpha=factor)
                elif users is None:
                    out.addcmul_(rows, factor)
                else:
                    out.index_add_(0, users, rows * factor)
            if not isinstance(target, slice):
                block.index_copy_(0, target, out)

    def _weights(self, shared: Entries, outputs: int) -> tuple[Places, Tensor]:
        """The columns that occur, and the matrix of their coefficients."""
        occurs = np.zeros(len(shared.sources), bool)
        occurs[shared.columns] = True
        columns = np.flatnonzero(occurs)
        shape = outputs, len(columns)
        place = (np.cumsum(occurs) - 1)[shared.columns]
        like = self._store.data
        if len(place) >= _SPARSE_BELOW * shape[0] * shape[1]:
            flat = np.bincount(
                shared.outputs * shape[1] + place, shared.values, shape[0] * shape[1]
            )
            return columns, torch.from_numpy(flat.reshape(shape)).to(like)
        begins = torch.from_numpy(np.searchsorted(shared.outputs, np.arange(outputs + 1)))
        values = torch.from_numpy(shared.values).to(like)
        with warnings.catch_warnings():  # torch calls its sparse matrices "beta" once a process
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            return columns, torch.sparse_csr_tensor(
                begins.to(like.device),
                torch.from_numpy(place).to(like.device),
                values,
                shape,
                check_invariants=False,  # right by construction; torch warns where nothing is said
            )

    def _addend(self, rank: Entries, outputs: int) -> tuple[Index, Tensor | None, Tensor | float]:
        """Where private sources lie, to which outputs they go (None: to each), their factors.

        One number where it is the same for all outputs, as a gradient's is: that is faster.
        """
        data = self._store.data
        users = None
        if len(rank.outputs) < outputs:
            users = torch.from_numpy(rank.outputs).to(data.device)
        index = self._store.index(rank.sources[rank.columns].tolist())
        if users is None and (rank.values == rank.values[0]).all():
            return index, users, float(rank.values[0])
        return index, users, torch.from_numpy(rank.values[:, None]).to(data)

    def _rows(self, which: int, block: Tensor, index: slice | Tensor) -> Tensor:
        if isinstance(index, slice):
            return block[index]
        buffer = self._buffer(which, len(index), block.shape[1], block)
        return torch.index_select(block, 0, index, out=buffer)

    def _buffer(self, which: int, rows: int, columns: int, like: Tensor) -> Tensor:
        """Kept memory: fresh buffers cost a page fault per 4 KiB."""
        if self._scratch[which].numel() < rows * columns:
            self._scratch[which] = like.new_empty(rows * columns)
        return self._scratch[which][: rows * columns].view(rows, columns)


def _product(weights: Tensor, rows: Tensor, out: Tensor) -> None:
    if weights.layout == torch.sparse_csr:
        out.copy_(weights @ rows)
    else:
        torch.mm(weights, rows, out=out)


def entries(nodes: Sequence[Combination]) -> Entries:
    """The coefficients of operations on their sources."""
    inputs = list(chain.from_iterable([node.inputs for node in nodes]))
    count = len(inputs)
    values = np.fromiter(
        chain.from_iterable([node.coefficients for node in nodes]), np.float64, count
    )
    outputs = np.repeat(np.arange(len(nodes)), [len(node.inputs) for node in nodes])
    rows = np.fromiter(map(attrgetter("row"), inputs), np.int64, count)
    # Distinct rows by marking, which takes a tenth of the time of sorting them.
    place = np.full(rows.max(initial=-1) + 1, -1)
    place[rows] = np.arange(count)
    distinct = np.flatnonzero(place >= 0)
    sources = distinct[np.argsort([inputs[i].order for i in place[distinct].tolist()])]
    place[sources] = np.arange(len(sources))
    return Entries(outputs, place[rows], values, sources)


def split(found: Entries) -> tuple[Entries, list[Entries]]:
    """The coefficients on columns that several outputs use, and the others in ranks.

    An output has at most one coefficient in a rank.
    """
    private = np.bincount(found.columns)[found.columns] == 1
    users = found.outputs[private]
    rank = np.arange(len(users)) - np.searchsorted(users, users)
    ranks = int(rank.max(initial=-1)) + 1
    if not 0 < ranks <= _MOST_RANKS:
        return found, []
    alone = _some(found, private)
    return _some(found, ~private), [_some(alone, rank == r) for r in range(ranks)]


def _some(found: Entries, which: npt.NDArray[np.bool_]) -> Entries:
    return Entries(found.outputs[which], found.columns[which], found.values[which], found.sources)
