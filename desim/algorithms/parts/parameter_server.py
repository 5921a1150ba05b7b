"""The server's end of methods with a server: hears every update once, answers with the model."""

from collections.abc import Generator, Iterable
from typing import Any, NamedTuple

from desim.tensors.compressors.base import Compressor
from desim.tensors.refs import Ref
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker

#: The size of a message that only says which model is the newest.
NUMBER_BITS = 32

#: A worker's local step, and how many requests it has made in that one before.
Request = tuple[int, int]


class Update(NamedTuple):
    """What a worker has sent.

    Attributes:
        worker: its number.
        content: a gradient, or what else `work` gives.
        request: its number.
        version: of the model at which it was computed.
    """

    worker: int
    content: Ref
    request: Request
    version: int


class ParameterServer:
    """The newest model, and the server's end of the messages.

    Args:
        me: the server.
        compressor: what is done to models that are sent.

    Attributes:
        model: the newest one.
        version: its number: the steps that led to it.
    """

    def __init__(self, me: Worker, compressor: Compressor) -> None:
        self._me, self._compressor = me, compressor
        self.model, self.version = me.initial_model(), 0
        self._given = [0] * me.workers  # the version that each worker was given last
        # Of each worker: the last request that has come, or was answered before; the next one to
        # come; the one that was answered before it came, until that answer is known to be there;
        # and the last one, where it was answered without a model.
        self._known: list[Request] = [(-1, 0)] * me.workers
        self._next: list[Request] = [(0, 0)] * me.workers
        self._interrupted: dict[int, Request] = {}
        self._told: dict[int, Request] = {}
        self._packed, self._packed_version = Message(None, 0), -1

    def updates(self) -> Generator[Any, Any, list[Update]]:
        """Waits for messages; gives the updates that have come, each of them once."""
        messages = yield from self._me.hear("update")
        found: list[Update] = []
        for worker, content in [*messages, *self._me.heard("update")]:
            update, known = Update(worker, *content), self._known[worker]
            if worker in self._interrupted and update.request >= self._interrupted[worker]:
                del self._interrupted[worker]
            if update.request > known:
                self._known[worker] = update.request
                found.append(update)
            elif update.request < known or update.request == self._told.get(worker):
                # It has crashed since it took the answer, and restarted its step. An answer with
                # a model is not asked for again: it ends the step when it is taken.
                yield from self._send(update)
        return found

    def step(self, model: Ref, versions: Iterable[int]) -> None:
        """This is the newest model now.

        Args:
            model: the model.
            versions: of the models at which the gradients were computed that led to it.
        """
        for version in versions:
            self._me.applied(self.version - version)
        self.model, self.version = model, self.version + 1
        self._me.commit(model)

    def answer(self, update: Update) -> Waiting:
        """Sends the newest model to a worker, or says that it has it."""
        worker, (step, number) = update.worker, update.request
        if update.version < self.version:
            self._next[worker] = (step + 1, 0)
            self._told.pop(worker, None)
        else:
            self._next[worker] = (step, number + 1)
            self._told[worker] = update.request
        self._given[worker] = self.version
        yield from self._send(update)

    def interrupt(self, age: int) -> Waiting:
        """Sends the newest model to all whose model is `age` steps old, before they ask.

        One whose last such message is still on its way is left out.
        """
        for worker, version in enumerate(self._given):
            if self.version - version >= age and worker not in self._interrupted:
                request = self._known[worker] = self._interrupted[worker] = self._next[worker]
                yield from self.answer(Update(worker, self.model, request, version))

    def _send(self, update: Update) -> Waiting:
        message = Message((None, self.version), NUMBER_BITS)
        if update.version < self.version:
            if self._packed_version < self.version:
                content, size_bits = yield from self._me.compress(self.model, self._compressor)
                self._packed = Message((content, self.version), size_bits)
                self._packed_version = self.version
            message = self._packed
        self._me.tell(update.worker, message, update.request)
