"""Two workers average something of theirs while both go on computing.

    c_i <- c_i + (Q(c_j) - Q(c_i)) / 2        c_j <- c_j + (Q(c_i) - Q(c_j)) / 2

Worker i asks and waits; j answers at the instant at which the question arrives, whatever it does.
Nobody is asked that waits for an answer: either the method sees to it, or pairs stand in line. So
c_i doesn't change between question and answer, both get (c_i + c_j) / 2 where nothing is lost, and
nobody can be waiting in a circle. Whatever Q is, what one gains the other loses. Who asks whom is
not lost in a crash.

An answer takes no time of the worker's, even with `charge_memory`; the asker's part does.
"""

from collections.abc import Callable, Sequence
from typing import Any

from desim.algorithms.inbox import Inboxes
from desim.algorithms.line import Line, Turn
from desim.errors import ScenarioError
from desim.mixings.base import Weights
from desim.tensors.compressors.base import Compressor
from desim.tensors.refs import Ref
from desim.worker import Message, Waiting, Worker

_QUESTION, _ANSWER = "question", "answer"


class Exchanges:
    """The averages in pairs of one trial: a method makes one of these in `prepare`.

    Attributes:
        inboxes: where answers arrive.
        asked: the number of each worker's newest question.
        line: where pairs stand in line; None where nobody asks those who ask.

    Raises ScenarioError where the graph is directed.
    """

    def __init__(self, name: str, weights: Weights, line: Line | None = None) -> None:
        if weights.graph.directed:
            raise ScenarioError(
                f"algorithms.{name}: an average in pairs needs links that go both ways; take an "
                "undirected topology, such as 'ring'"
            )
        self.inboxes, self.line = Inboxes(weights.graph.workers), line
        self.asked: dict[int, int] = {}


class Exchange:
    """One worker's part; made at the beginning of `worker`, it answers from then on.

    Args:
        me: the worker.
        exchanges: all workers'.
        compressor: Q.
        copy: gives c, which changes as `me.model` does.
    """

    def __init__(
        self, me: Worker, exchanges: Exchanges, compressor: Compressor, copy: Callable[[], Ref]
    ) -> None:
        self._me, self._all, self._compressor, self._copy = me, exchanges, compressor, copy
        self._question: Message | None = None
        exchanges.inboxes.open(me)
        me.on(_QUESTION, self._answer)
        self._go_on()

    def ask(self, partners: Sequence[int], number: int) -> Waiting:
        """Asks one of the partners, each as likely, as soon as it can; takes the time to compress.

        Args:
            partners: who may be asked.
            number: of the question, larger than those of earlier ones; it is sent once.
        """
        if self._all.asked.get(self._me.id) == number:
            return  # before a crash
        self._question = yield from self._me.compress(self._copy(), self._compressor)
        self._all.asked[self._me.id] = number
        partner = partners[int(self._me.draw(2 * number + 1) * len(partners))]
        if self._all.line is None:
            self._send(partner)
        else:
            turn = Turn(self._me.id, partner, lambda: self._me.present, lambda: self._send(partner))
            self._all.line.join(turn)

    def _send(self, partner: int) -> None:
        asked, size_bits = self._question or self._at_once()
        number = self._all.asked[self._me.id]
        self._me.tell(partner, Message((number, asked), size_bits), _QUESTION)

    def change(self, number: int) -> Waiting:
        """Waits for the answer to a question, and gives what is to be added to `me.model`."""
        asked, answer = yield from self._all.inboxes.wait(self._me, number, _ANSWER)
        change = yield from self._me.sum([0.5, -0.5], [answer, asked])
        self._go_on(self._me.id)
        return change

    def _answer(self, asker: int, question: Any) -> None:
        me, (number, asked) = self._me, question
        own, size_bits = self._at_once()
        message = Message((asked, own), size_bits)
        self._all.inboxes.send(me, asker, number, _ANSWER, message)
        me.update(me.model + 0.5 * (asked - own))
        self._question = None  # it would be of an older model
        self._go_on(me.id)

    def _go_on(self, *done: int) -> None:
        if self._all.line is not None:
            self._all.line.go_on(*done)

    def _at_once(self) -> Message:
        """Q(c) without the time that it takes."""
        compressing = self._me.compress(self._copy(), self._compressor)
        while True:
            try:
                next(compressing)
            except StopIteration as done:
                message: Message = done.value
                return message
