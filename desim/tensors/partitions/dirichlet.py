"""Dirichlet: each worker has its own proportions of the classes, drawn at random.

Hsu, Qi, Brown 2019, 'Measuring the Effects of Non-Identical Data Distribution for Federated Visual
Classification': q ~ Dir(alpha p), and the worker's samples follow q. Here p counts each of the
classes once: q ~ Dir(alpha, ..., alpha). The paper's p sums up to one, so its alpha is this one
times the number of classes.
"""

from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from desim.tensors.partitions.base import Partition


class Dirichlet(Partition):
    """Class proportions q ~ Dir(alpha, ..., alpha) for each worker; small alpha, few classes.

    The workers choose one after the other, in random order, without replacement. When a class has
    run out, what is missing is drawn from the classes that are left, in the proportions that q
    gives them; and where q gives them nothing, in those of what is left. So the last ones to choose
    follow their q less closely, above all where all the samples are used.

    Attributes:
        alpha: the concentration: 0.1 gives most workers one or two classes, 100 nearly equal
            shares.
    """

    kind: ClassVar[str] = "dirichlet"
    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"alpha": 0.3}, {"alpha": 1e-3})

    alpha: Annotated[float, Field(gt=0)]

    def assign(
        self,
        targets: npt.NDArray[Any],
        workers: int,
        samples_per_worker: int,
        random: np.random.Generator,
    ) -> list[npt.NDArray[np.int64]]:
        """So many samples for each worker.

        Raises:
            ScenarioError: the targets aren't classes.
        """
        labels = self.classes(targets)
        names = np.unique(labels)
        piles = [random.permutation(np.flatnonzero(labels == name)) for name in names]
        left = np.array([len(pile) for pile in piles])
        hands = [np.zeros(0, np.int64)] * workers
        for worker in random.permutation(workers):
            shares = random.dirichlet(np.full(len(names), self.alpha))
            counts = _drawn(shares, left, samples_per_worker, random)
            taken = [pile[n - k : n] for pile, n, k in zip(piles, left, counts, strict=True)]
            hands[worker] = np.concatenate(taken)
            left -= counts
        return hands


def _drawn(
    shares: npt.NDArray[np.float64],
    left: npt.NDArray[np.int64],
    samples: int,
    random: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """How many of each class a worker takes, at most those that are left."""
    counts = np.zeros_like(left)
    while missing := samples - counts.sum():  # each turn ends, or uses up a class
        weights = np.where(counts < left, shares, 0.0)
        if not weights.sum() > 0:
            weights = (left - counts).astype(np.float64)
        wanted = random.multinomial(missing, weights / weights.sum())
        counts = np.minimum(counts + wanted, left)
    return counts
