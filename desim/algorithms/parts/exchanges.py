"""Two workers average something of theirs while both go on computing.

    c_i <- c_i + (Q(c_j) - Q(c_i)) / 2        c_j <- c_j + (Q(c_i) - Q(c_j)) / 2

Worker i asks; j answers at the instant at which the question arrives, and i has its share when the
answer does, whatever they are computing. Nobody is asked that is to get an answer: either the
method sees to it, or pairs stand in line. So c_i doesn't change between question and answer, both
get (c_i + c_j) / 2 where nothing is lost, and nobody can be waiting in a circle. Whatever Q is,
what one gains the other loses. Who asks whom is not lost in a crash.

With `charge_memory` who asks is charged for its question and its average, who answers isn't.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

from desim.algorithms.parts.line import Line, Turn
from desim.errors import ScenarioError
from desim.mixings.base import Weights
from desim.tensors.compressors.base import Compressor
from desim.tensors.refs import Ref
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker

_QUESTION, _ANSWER = "question", "answer"


class Exchanges:
    """The averages in pairs of one trial: a method makes one of these in `prepare`.

    Raises ScenarioError where the graph is directed.

    Attributes:
        asked: the number of each worker's newest question.
        questions: these questions, unless they are to be compressed again.
        answered: the number of each worker's newest answer, and what has been averaged.
        line: where pairs stand.
    """

    def __init__(self, name: str, weights: Weights, line: Line) -> None:
        if weights.graph.directed:
            raise ScenarioError(
                f"algorithms.{name}: an average in pairs needs links that go both ways; take an "
                "undirected topology, such as 'ring'"
            )
        self.asked: dict[int, int] = {}
        self.questions: dict[int, Message] = {}
        self.answered: dict[int, tuple[int, Ref, Ref]] = {}
        self.line = line


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
        me.on(_QUESTION, self._answer)
        me.on(_ANSWER, self._finish)
        exchanges.line.go_on()

    def ask(self, partners: Sequence[int], number: int) -> Waiting:
        """Asks one of the partners, each as likely, as soon as it can.

        Questions have ascending numbers; after a crash none is asked twice.
        """
        if self._all.asked.get(self._me.id) == number:
            return
        question = yield from self._me.compress(self._copy(), self._compressor)
        self._all.asked[self._me.id], self._all.questions[self._me.id] = number, question
        partner = partners[int(self._me.draw(2 * number + 1) * len(partners))]
        self._all.line.join(Turn(self._me, partner, lambda: self._send(partner)))

    def _send(self, partner: int) -> None:
        asked, size_bits = self._all.questions.get(self._me.id) or self._at_once()
        number = self._all.asked[self._me.id]
        self._me.tell(partner, Message((number, asked), size_bits), _QUESTION)

    def done(self, number: int) -> Waiting:
        """Waits until a question has been answered, and `me.model` changed."""
        me, answered = self._me, self._all.answered
        yield from me.until(lambda: me.id in answered and answered[me.id][0] == number)
        _, asked, answer = answered[me.id]
        yield from me.mean([asked, answer])  # for the time that it takes

    def _answer(self, asker: int, question: Any) -> None:
        me, (number, asked) = self._me, question
        own, size_bits = self._at_once()
        me.tell(asker, Message((number, asked, own), size_bits), _ANSWER)
        self._change(asked, own)

    def _finish(self, _partner: int, answer: Any) -> None:
        number, asked, theirs = answer
        self._all.answered[self._me.id] = number, asked, theirs
        self._change(theirs, asked)

    def _change(self, theirs: Ref, own: Ref) -> None:
        self._me.update(self._me.model + 0.5 * (theirs - own))
        self._all.questions.pop(self._me.id, None)  # it would be of an older model
        self._all.line.go_on(self._me.id)

    def _at_once(self) -> Message:
        """Q(c) without the time that it takes."""
        compressing = self._me.compress(self._copy(), self._compressor)
        while True:
            try:
                next(compressing)
            except StopIteration as done:
                return cast(Message, done.value)
