"""Links without workers, for tests."""

from collections.abc import Sequence
from typing import Any

import simpy

from desim.clock.links.base import Deployment
from desim.streams import Streams


def site(neighbours: Sequence[Sequence[int]], seed: int = 0, **changes: Any) -> Deployment:
    """Workers with these neighbours, whose hardware has no access links of its own."""
    nobody = [None] * len(neighbours)
    fields: dict[str, Any] = {"up_bps": nobody, "down_bps": nobody}
    return Deployment(neighbours, Streams(seed), simpy.Environment(), **(fields | changes))


def everybody(workers: int) -> list[list[int]]:
    """All are neighbours."""
    return [[j for j in range(workers) if j != i] for i in range(workers)]
