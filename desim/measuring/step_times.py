"""Step times from a file, and whether workers or steps make them differ."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from desim.clock.stragglers.base import Numbers
from desim.errors import ScenarioError

#: Fewer steps say next to nothing about a tail.
FEWEST = 10


@dataclass(frozen=True)
class Measured:
    """Step times from a file.

    Attributes:
        file: its path.
        slowdowns: x, seconds per sample, one per row: 1/V where the cluster names no hardware.
        batches: samples of each row's gradient.
        workers: the row's worker; empty where the file has no such column.
    """

    file: Path
    slowdowns: Numbers
    batches: npt.NDArray[np.int64]
    workers: npt.NDArray[np.int64]


def read(file: str | Path, batch: int = 1) -> Measured:
    """Reads step times.

    Args:
        file: CSV or parquet with a row per gradient: `seconds`, and if need be `batch` (samples)
            and `worker` (whole numbers from 0).
        batch: samples of every gradient, where the file has no column `batch`.

    Raises:
        ScenarioError: the file can't be used; one line with file and row.
    """
    from desim.schema.tables import NumberTable

    if batch < 1:
        raise ScenarioError(f"--batch = {batch}: must be at least 1, the samples of a gradient")
    try:
        table = NumberTable(file, [], ["seconds"], optional=["batch", "worker"])
        seconds = table.columns["seconds"]
        table.refuse(seconds <= 0, "seconds", "must be positive")
        batches = table.columns.get("batch", np.full_like(seconds, batch))
        if "batch" in table.columns:
            table.refuse(batches < 1, "batch", "must be at least 1")
    except ValueError as error:
        raise ScenarioError(str(error)) from None
    if len(seconds) < FEWEST:
        raise ScenarioError(
            f"file = {str(file)!r}: has {len(seconds)} rows; must have at least {FEWEST} steps to "
            "fit a law to"
        )
    workers = table.columns.get("worker", np.empty(0))
    return Measured(
        Path(file), seconds / batches, batches.astype(np.int64), workers.astype(np.int64)
    )


def means_of_groups(x: Numbers, groups: npt.NDArray[np.int64]) -> Numbers:
    """The mean of each group, by ascending group."""
    _, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return np.bincount(place, x) / sizes


def intraclass_correlation(values: Numbers, groups: npt.NDArray[np.int64]) -> float | None:
    """The share of the variance that is between groups.

    ICC(1) of Shrout, Fleiss 1979 ('Intraclass correlations'), with the usual mean size of unequal
    groups: of the mean squares B between and W within k groups,

        s = (B - W) / m,   m = (n - sum n_i^2 / n) / (k - 1),   share = s / (s + W), 0 at least

    Args:
        values: shape (n,).
        groups: the group of each, shape (n,); or empty.

    Returns:
        0 to 1; None for fewer than two groups, or with no group of two.
    """
    _, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    n, k = len(groups), len(sizes)
    if k < 2 or n == k:
        return None
    means = np.bincount(place, values) / sizes
    within = float(((values - means[place]) ** 2).sum()) / (n - k)
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (k - 1)
    size = (n - float((sizes**2).sum()) / n) / (k - 1)
    spread = max(0.0, (between - within) / size)
    return spread / (spread + within)
