"""Independent and identically distributed: everyone's samples are drawn from the same pile."""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from desim.tensors.partitions.base import Partition


class IID(Partition):
    """The shuffled training data, in equal parts without overlap."""

    kind: ClassVar[str] = "iid"

    def assign(
        self,
        targets: npt.NDArray[Any],
        workers: int,
        samples_per_worker: int,
        random: np.random.Generator,
    ) -> list[npt.NDArray[np.int64]]:
        """A random part of the data for each worker."""
        order = random.permutation(len(targets))[: workers * samples_per_worker]
        return list(order.reshape(workers, samples_per_worker))
