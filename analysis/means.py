"""Means of curves over seeds."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_MOST_POINTS = 500


def common_grid(axes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Where to take the mean of curves: from the last of their beginnings to the first end.

    The points themselves, where they are few: a line between two is then not bent.

    Args:
        axes: of each curve its rising abscissae.
    """
    first, last = max(axis[0] for axis in axes), min(axis[-1] for axis in axes)
    union = np.unique(np.concatenate(axes))
    union = union[(union >= first) & (union <= last)]
    return union if len(union) <= _MOST_POINTS else np.linspace(first, last, _MOST_POINTS)
