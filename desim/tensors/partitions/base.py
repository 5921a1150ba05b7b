"""What a partition is."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from desim.errors import ScenarioError
from desim.schema.registry import Member


class Partition(Member):
    """Distributes the training samples over the workers."""

    axis: ClassVar[str] = "partitions"

    @abstractmethod
    def assign(
        self,
        targets: npt.NDArray[Any],
        workers: int,
        samples_per_worker: int,
        random: np.random.Generator,
    ) -> list[npt.NDArray[np.int64]]:
        """For each worker the samples that it holds, as places in `targets`."""

    def classes(self, targets: npt.NDArray[Any]) -> npt.NDArray[np.integer[Any]]:
        """The targets of a partition by class.

        Raises:
            ScenarioError: they aren't classes.
        """
        if targets.ndim != 1 or not np.issubdtype(targets.dtype, np.integer):
            raise ScenarioError(
                f"problem.partition = {self.table()['kind']!r}: assigns by class, and the data set "
                "has numbers to predict instead; use iid or contiguous"
            )
        return targets
