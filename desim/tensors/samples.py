"""Which samples a worker's step uses."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from desim.streams import Streams
from desim.tensors.refs import Gradient

Sampling = Literal["replacement", "epochs"]
Indices = npt.NDArray[np.int64]


class Sampler:
    """Draws batches from each worker's own samples.

    Args:
        streams: the trial's random numbers.
        shards: for each worker the training samples that it holds.
        sampling: "replacement" draws each sample anew, named by worker and step; "epochs" goes
            through a fresh permutation of the shard again and again.
    """

    def __init__(self, streams: Streams, shards: Sequence[Indices], sampling: Sampling) -> None:
        self._streams, self._shards, self._sampling = streams, shards, sampling
        self._sizes = np.array([len(shard) for shard in shards], np.uint64)
        self._starts = np.cumsum([0, *map(len, shards)])
        self._flat = np.concatenate(shards)
        self._epochs: dict[int, tuple[int, Indices]] = {}

    def batch(
        self, nodes: Sequence[Gradient], width: int
    ) -> tuple[Indices, npt.NDArray[np.float64]]:
        """Samples and weights, both (len(nodes), width).

        A batch smaller than `width` is padded with samples of its worker that weigh nothing; the
        weights of a row sum to 1.
        """
        if self._sampling == "replacement":
            chosen = self._with_replacement(nodes, width)
        else:
            chosen = np.stack([self._in_epochs(node, width) for node in nodes])
        batches = np.array([node.batch for node in nodes])[:, None]
        return chosen, np.where(np.arange(width) < batches, 1.0 / batches, 0.0)

    def _with_replacement(self, nodes: Sequence[Gradient], width: int) -> Indices:
        named = np.array([(node.worker, node.step) for node in nodes])
        workers, steps = named[:, :1], named[:, 1:]
        words = self._streams.words("samples", workers, steps, np.arange(width))
        offsets = words % self._sizes[workers]
        chosen: Indices = self._flat[self._starts[workers] + offsets.astype(np.int64)]
        return chosen

    def _in_epochs(self, node: Gradient, width: int) -> Indices:
        size = int(self._sizes[node.worker])
        positions = node.position + np.minimum(np.arange(width), node.batch - 1)
        places = np.empty(width, np.int64)
        for epoch in range(node.position // size, int(positions[-1]) // size + 1):
            here = positions // size == epoch
            places[here] = self._permutation(node.worker, epoch)[positions[here] % size]
        return self._shards[node.worker][places]

    def _permutation(self, worker: int, epoch: int) -> Indices:
        kept = self._epochs.get(worker)
        if kept is None or kept[0] != epoch:
            random = self._streams.generator("samples", worker, epoch)
            kept = self._epochs[worker] = (epoch, random.permutation(int(self._sizes[worker])))
        return kept[1]
