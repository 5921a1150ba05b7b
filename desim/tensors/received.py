"""What a worker has received of its neighbours."""

from collections.abc import Sequence
from typing import Any, cast

from desim.tensors.refs import Ref


class Received:
    """The models of a worker's neighbours: a mapping from their numbers to refs.

    Attributes:
        workers: the neighbours that have sent one, ascending.
        messages: their models.
        absent: whether there are neighbours that have not.
    """

    __slots__ = ("absent", "messages", "workers")

    def __init__(
        self, workers: Sequence[int], messages: Sequence[Ref], *, absent: bool = False
    ) -> None:
        self.workers, self.messages, self.absent = workers, messages, absent

    @classmethod
    def partial(cls, neighbours: Sequence[int], messages: Sequence[Ref | None]) -> "Received":
        """Of neighbours, some of whom may have sent none."""
        there = {j: m for j, m in zip(neighbours, messages, strict=True) if m is not None}
        absent = len(there) < len(neighbours)
        return cls(list(there), list(there.values()), absent=absent)

    def __getitem__(self, worker: int) -> Ref:
        return self.messages[self.workers.index(worker)]

    def part(self, k: int) -> "Received":
        """The k-th parts of messages that are tuples."""
        parts = [cast(Any, message)[k] for message in self.messages]
        return Received(self.workers, parts, absent=self.absent)

    def __len__(self) -> int:
        return len(self.messages)

    def items(self) -> list[tuple[int, Ref]]:
        """(neighbour, model) pairs."""
        return list(zip(self.workers, self.messages, strict=True))
