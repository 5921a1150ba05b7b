"""Rows cut into buckets that have a scale each."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def count(parameters: int, bucket: int | None) -> int:
    """How many buckets there are; without a size, one."""
    return ceil(parameters / bucket) if bucket else 1


def parts(rows: Tensor, bucket: int | None) -> list[Tensor]:
    """Views of rows, shape (rows, parameters), as (rows, buckets, bucket).

    Two of them where the last bucket is shorter than the others.
    """
    size = rows.shape[1]
    bucket = min(bucket or size, size)
    whole = size // bucket * bucket
    views = [rows[:, :whole].view(len(rows), -1, bucket)]
    if whole < size:
        views.append(rows[:, None, whole:])
    return views
