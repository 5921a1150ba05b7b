"""Linear combinations of rows, many at a time: a coefficient matrix times the stored rows.

Sources that several outputs share (the neighbours' messages) go through one matrix product, dense
or sparse; those that only one output uses (its own model, its own gradient) are added row by row.
Everything is done in blocks of columns, so that the sources of a block stay in cache.
"""

import warnings
from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from desim.tensors.refs import Combination
from desim.tensors.store import Rows, Store

Matrix = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

#: Below this share of non-zero coefficients a sparse product is faster (measured on one thread,
#: 39,760 columns: at 1,000 outputs the two cost the same at about 0.04).
_SPARSE_BELOW = 0.04

#: Private sources are added one rank after another while there are at most so many per output.
_MOST_RANKS = 3

#: A block's sources take at most so many bytes: half of a 2 MiB second-level cache.
_BLOCK_BYTES = 1 << 20


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
        matrix, sources = coefficient_matrix(nodes)
        outputs = self._store.take(len(nodes))
        self._evaluate(matrix, sources, outputs)
        for node, row in zip(nodes, outputs, strict=True):
            node.row = row

    def _evaluate(self, matrix: Matrix, sources: Places, outputs: Rows) -> None:
        store, data = self._store, self._store.data
        shared, ranks = split(matrix)
        weights = self._weights(matrix[:, shared])
        shared_index = store.index(sources[shared].tolist()) if shared.size else None
        private = [
            (
                store.index(sources[columns].tolist()),
                torch.from_numpy(users).to(data.device) if len(users) < len(outputs) else None,
                torch.from_numpy(matrix[users, columns][:, None]).to(data),
            )
            for columns, users in ranks
        ]
        target = store.index(outputs)
        count = max(shared.size, len(outputs))
        width = max(512, _BLOCK_BYTES // (count * data.element_size()) // 16 * 16)
        for start in range(0, data.shape[1], width):
            block = data[:, start : start + width]
            if isinstance(target, slice):
                out = block[target]
            else:
                out = self._buffer(0, len(outputs), block.shape[1], data)
            if shared_index is None:
                out.zero_()
            else:
                _product(weights, self._rows(1, block, shared_index), out)
            for index, users_index, factor in private:
                rows = self._rows(2, block, index)
                if users_index is None:
                    out.addcmul_(rows, factor)
                else:
                    out.index_add_(0, users_index, rows * factor)
            if not isinstance(target, slice):
                block.index_copy_(0, target, out)

    def _weights(self, matrix: Matrix) -> Tensor:
        weights = torch.from_numpy(matrix).to(self._store.data)
        if np.count_nonzero(matrix) >= _SPARSE_BELOW * matrix.size:
            return weights
        with warnings.catch_warnings():  # torch calls its sparse matrices "beta" once a process
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            return weights.to_sparse_csr()

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


def coefficient_matrix(nodes: Sequence[Combination]) -> tuple[Matrix, Places]:
    """The coefficients of each output (rows) on each distinct source (columns).

    Returns:
        The matrix, and the store's rows of the sources, both in the operations' order, which makes
        sums come out the same wherever the rows happen to lie.
    """
    flat = list(chain.from_iterable([node.inputs for node in nodes]))
    values = np.array(list(chain.from_iterable([node.coefficients for node in nodes])), np.float64)
    outputs = np.repeat(np.arange(len(nodes)), [len(node.inputs) for node in nodes])
    rows = np.array([source.row for source in flat], np.int64)
    # Distinct rows by marking, which takes a tenth of the time of sorting them.
    place = np.full(rows.max(initial=-1) + 1, -1)
    place[rows] = np.arange(len(flat))
    distinct = np.flatnonzero(place >= 0)
    orders = [flat[i].order for i in place[distinct].tolist()]
    sources = distinct[np.argsort(orders)]
    place[sources] = np.arange(len(sources))
    shape = len(nodes), len(sources)
    matrix = np.bincount(outputs * shape[1] + place[rows], values, shape[0] * shape[1])
    return matrix.reshape(shape), sources


def split(matrix: Matrix) -> tuple[Places, list[tuple[Places, Places]]]:
    """The columns that several outputs use, and the others in ranks.

    Returns:
        The shared columns, and for each rank its columns and the outputs that use them; an output
        has at most one column in a rank.
    """
    used = np.count_nonzero(matrix, axis=0)
    private = np.flatnonzero(used == 1)
    users, columns = np.nonzero(matrix[:, private])  # sorted by user, then by column
    first = np.searchsorted(users, users)
    rank = np.arange(len(users)) - first
    ranks = int(rank.max(initial=-1)) + 1
    if ranks > _MOST_RANKS:
        return np.flatnonzero(used), []
    columns = private[columns]
    return np.flatnonzero(used > 1), [
        (columns[rank == r], users[rank == r]) for r in range(ranks)
    ]
