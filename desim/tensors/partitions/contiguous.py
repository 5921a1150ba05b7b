"""Contiguous: the samples as they lie in the data set, cut into equal parts."""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from desim.tensors.partitions.base import Partition


class Contiguous(Partition):
    """Worker j holds samples j m to (j + 1) m - 1, for m samples per worker; the same every seed.

    How alike the workers' data is depends on the order of the data set: `image-folder`, for one,
    is sorted by class.
    """

    kind: ClassVar[str] = "contiguous"

    def assign(
        self,
        targets: npt.NDArray[Any],
        workers: int,
        samples_per_worker: int,
        random: np.random.Generator,
    ) -> list[npt.NDArray[np.int64]]:
        """The first workers x samples_per_worker samples, in order."""
        return list(np.arange(workers * samples_per_worker).reshape(workers, samples_per_worker))
