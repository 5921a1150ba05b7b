"""Who pushes what share to whom in which step, and what has been pushed so far."""

from collections.abc import Sized
from functools import partial
from typing import Any

from desim.algorithms.parts.mailboxes import Mailboxes
from desim.mixings.base import Weights
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker


class Pushes:
    """All workers' shares p_ij, and the messages that they are shares of.

    Columns of P sum to 1: what one doesn't keep, others get. Either P is the mixing matrix; or each
    pushes one half to one of its targets, which take turns by their hops, (target - own number) mod
    workers: on a directed exponential graph 1, 2, 4, ...

    Args:
        weights: the graph and its mixing matrix.
        one: whether a worker pushes to one of its targets in a step; else to all.
        delay: after how many steps messages are waited for. Those to all targets are one broadcast
            where this is 0, and one message each where it is not.
    """

    def __init__(self, weights: Weights, *, one: bool, delay: int) -> None:
        n = weights.graph.workers
        self._mailboxes, self._delay = Mailboxes(n), delay
        self._turns: list[list[int]] | None = None
        if one:
            hops = [sorted(((row - i) % n).tolist()) for i, row in enumerate(weights.graph.targets)]
            self._turns = [[(i + hop) % n for hop in row] for i, row in enumerate(hops)]

    def open(self, me: Worker) -> None:
        """From now on the worker takes messages; at the beginning of `worker`."""
        self._mailboxes.open(me)

    def push(self, me: Worker, step: int, message: Message) -> float:
        """Sends the message to the step's targets, and gives the share that the worker keeps."""
        if self._turns is None and not self._delay:
            me.broadcast(message, tag=step)
            return me.own_weight
        for j in me.targets if self._turns is None else [_turn(self._turns[me.id], step)]:
            self._mailboxes.send(me, j, step, me.id, message)
        return me.own_weight if self._turns is None else 0.5

    def take(self, me: Worker, first: int, step: int) -> Waiting:
        """Waits for what has been pushed to the worker `delay` steps ago, and takes what is there.

        Args:
            me: the worker.
            first: what was pushed in the steps before this has been taken.
            step: the worker's: the last one of others from which it takes anything.

        Returns:
            (p_ij, content) of each message, and `first` for the next time. From each step it takes
            all that was pushed or nothing. It may be told to take the same again, after a crash.
        """
        if self._turns is None and not self._delay:
            received = yield from me.gather(tag=step)
            return list(zip(me.weights, received.messages, strict=True)), step + 1
        due = step - self._delay
        kept = self._mailboxes.since(me, max(due, 0))
        found: list[tuple[float, Any]] = []
        # A crash that costs the model costs `first` too: what is there from `due` on is new then.
        for pushed in range(max(first, due), step + 1):
            there, shares = kept[pushed], self._shares(me, pushed)
            if pushed == due:
                yield from me.until(partial(_all_of, there, shares))
            elif len(there) < len(shares):
                return found, pushed
            found += [(share, there[j]) for j, share in shares.items()]
        return found, step + 1

    def _shares(self, me: Worker, step: int) -> dict[int, float]:
        """p_ij of each j that pushes to this worker in a step."""
        if self._turns is None:
            return dict(zip(me.neighbours, me.weights, strict=True))
        return {j: 0.5 for j in me.neighbours if _turn(self._turns[j], step) == me.id}


def _turn(targets: list[int], step: int) -> int:
    return targets[step % len(targets)]


def _all_of(there: Sized, senders: Sized) -> bool:
    return len(there) == len(senders)
