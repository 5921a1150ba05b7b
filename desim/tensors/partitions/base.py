"""What a partition is."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from desim.registry import Member


class Partition(Member):
    """Deals the training samples out to the workers."""

    axis: ClassVar[str] = "partitions"

    @abstractmethod
    def deal(
        self,
        targets: npt.NDArray[Any],
        workers: int,
        samples_per_worker: int,
        random: np.random.Generator,
    ) -> list[npt.NDArray[np.int64]]:
        """For each worker the samples that it holds, as places in `targets`."""
