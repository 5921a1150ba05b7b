"""What a partition is."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from desim.errors import ScenarioError
from desim.schema.phrases import short
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
        """For each worker the samples that it holds, as places in `targets`.

        Members that come with desim give each worker `samples_per_worker`, and nobody the same. A
        partition of your own may give workers different numbers, at least one each, and a sample to
        several workers, but to none twice.

        Args:
            targets: of all training samples, (samples, ...).
            workers: how many there are.
            samples_per_worker: as many as the scenario says; or as many as there are for all.
            random: a generator that the seed decides.
        """

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


def checked(
    partition: Partition, assigned: Any, samples: int, workers: int
) -> list[npt.NDArray[np.int64]]:
    """What a partition has assigned.

    Args:
        partition: whose result it is, for messages.
        assigned: what `assign` gave.
        samples: how many training samples there are.
        workers: how many there are.

    Raises:
        ScenarioError: it isn't one row of places in the data for each worker.
    """
    key = f"problem.partition = {partition.table()['kind']!r}"
    if not isinstance(assigned, list | tuple | np.ndarray) or len(assigned) != workers:
        count = f"{len(assigned)} shards" if hasattr(assigned, "__len__") else short(assigned)
        raise ScenarioError(f"{key}: gives {count}; must be one for each of {workers} workers")
    shards = []
    for worker, given in enumerate(assigned):
        try:
            shards.append(_places(given, samples))
        except ValueError as error:
            raise ScenarioError(f"{key}: worker {worker} {error}") from None
    return shards


def _places(given: object, samples: int) -> npt.NDArray[np.int64]:
    """A worker's samples, if they are places in the data.

    Raises:
        ValueError: they aren't; the text goes on after the worker's name.
    """
    try:
        places = np.asarray(given)
    except ValueError:  # rows of different length
        places = np.zeros((0, 0))
    if places.ndim == 1 and not len(places):
        raise ValueError("holds no samples; every worker must hold at least one")
    if places.ndim != 1 or places.dtype.kind not in "iu":
        raise ValueError(
            f"is given {places.dtype} of shape {places.shape}; must be one row of whole numbers, "
            "the places of its samples"
        )
    if places.min() < 0 or places.max() >= samples:
        wrong = places[(places < 0) | (places >= samples)][0]
        raise ValueError(f"is given sample {wrong}; must be from 0 to {samples - 1}")
    found, counts = np.unique(places, return_counts=True)
    if len(found) < len(places):
        twice = found[counts > 1][0]
        raise ValueError(f"is given sample {twice} twice; a worker may hold a sample once")
    return places.astype(np.int64, copy=False)
