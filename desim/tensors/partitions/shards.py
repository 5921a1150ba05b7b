"""Shards: each worker holds a few pieces of the data sorted by class.

McMahan, Moore, Ramage, Hampson, Aguera y Arcas 2017, 'Communication-Efficient Learning of Deep
Networks from Decentralized Data', section 3: the data is sorted by digit label, divided into 200
shards of size 300, and each of 100 clients gets 2.
"""

from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from desim.tensors.partitions.base import Partition


class Shards(Partition):
    """Sorted by class, cut into workers x shards_per_worker pieces, which are assigned at random.

    The pieces are equal; where samples_per_worker isn't a multiple of shards_per_worker, each
    worker's are equal to within one sample. Where not all samples are used, a random part is.

    Attributes:
        shards_per_worker: how many each gets, and so about the number of its classes.
    """

    kind: ClassVar[str] = "shards"

    shards_per_worker: Annotated[int, Field(ge=1)] = 2

    def assign(
        self,
        targets: npt.NDArray[Any],
        workers: int,
        samples_per_worker: int,
        random: np.random.Generator,
    ) -> list[npt.NDArray[np.int64]]:
        """So many pieces for each worker.

        Raises:
            ScenarioError: the targets aren't classes.
        """
        labels = self.classes(targets)
        used = np.sort(random.permutation(len(labels))[: workers * samples_per_worker])
        ordered = used[np.argsort(labels[used], kind="stable")]
        size, longer = divmod(samples_per_worker, self.shards_per_worker)
        sizes = np.tile(np.arange(self.shards_per_worker) < longer, workers) + size
        shards = np.split(ordered, np.cumsum(sizes)[:-1])
        parts: list[list[npt.NDArray[np.int64]]] = [[] for _ in range(workers)]
        for length in np.unique(sizes):  # everyone gets as many of the longer ones
            assigned = random.permutation(np.flatnonzero(sizes == length)).reshape(workers, -1)
            for part, numbers in zip(parts, assigned, strict=True):
                part += [shards[number] for number in numbers]
        return [np.concatenate(part) for part in parts]
