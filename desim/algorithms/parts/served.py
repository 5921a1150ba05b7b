"""What methods with a server have in common: requests from the workers, answers with models.

A worker computes at the newest model that it was given, sends the result and waits for the answer.
A newer model ends its local step; a worker that has the newest one already is told so in 32 bits,
and computes once more. In some methods the server answers before it is asked: the worker stops
computing then, and says so in 32 bits. Crashes change no result: requests have numbers, so that
each counts once. These numbers, and those of the models, ride in the messages' headers, which
aren't billed, as tags aren't elsewhere.
"""

from collections.abc import Callable
from itertools import count
from typing import Annotated, ClassVar

from pydantic import Field

from desim.algorithms.base import Algorithm
from desim.algorithms.parts.parameter_server import NUMBER_BITS, Request
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.none import NoCompressor
from desim.tensors.refs import Ref
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker


class Served(Algorithm):
    """A method with a server, which keeps the model.

    Attributes:
        batch: samples per gradient.
        compressor: what is done to what the workers send.
        model_compressor: what is done to the models that the server sends; it compresses each of
            them once.
    """

    axis: ClassVar[str] = "algorithms"
    averages: ClassVar[bool] = False

    batch: Annotated[int, Field(ge=1)]
    compressor: Compressor = NoCompressor()
    model_compressor: Compressor = NoCompressor()

    def message_bits(self, size: Callable[[Compressor], int], workers: int) -> tuple[int, ...]:
        """What workers send; the server's models, or their number."""
        return size(self.compressor), size(self.model_compressor), NUMBER_BITS

    def worker(self, me: Worker) -> Waiting:
        """Compute, send, wait for the answer, until that is a newer model."""
        x = me.initial_model()
        [version] = me.state(0)
        for step in me.rounds():
            for number in count():
                newer, newest = yield from self._answer(me, x, version, (step, number))
                if newer is not None:
                    break
            x, version = newer, newest
            me.commit(x, version)

    def _answer(self, me: Worker, x: Ref, version: int, request: Request) -> Waiting:
        """Makes a request; gives a model (None, where there is no newer one) and its number."""
        done = yield from self.work(me, x, request)
        message = Message((None, request, version), NUMBER_BITS)
        if done is not None:
            content, size_bits = yield from me.compress(done, self.compressor)
            message = Message((content, request, version), size_bits)
        me.tell(me.workers, message, tag="update")
        [(_, answer)] = yield from me.hear(request)
        return answer

    def work(self, me: Worker, x: Ref, request: Request) -> Waiting:
        """What a worker sends, computed at x; None where the answer has come before."""
        return (yield from me.compute(x, self.batch))
