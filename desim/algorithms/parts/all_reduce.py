"""Ring all-reduce (Patarasuk and Yuan 2009; in training Sergeev and Del Balso 2018, 1802.05799).

n members, each linked to the next and the last to the first, cut their vectors into n chunks. In
n - 1 steps every member sends one chunk on and adds the one that comes in to its own; then each has
one chunk of the sum, and in n - 1 more steps the finished chunks go round: 2 (n - 1) steps, 2 (n -
1) / n vectors sent by each. Chunks differ by one number at most; of fewer numbers than members
some are empty, and are not sent.

Here a message names the vectors that its receiver lacks, and each member adds them all up once, in
the order of their numbers: all get the same, bit for bit. The sums on the way aren't rounded to the
message's floats; the vectors themselves are.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

from pydantic import AfterValidator

from desim.algorithms.parts.mailboxes import Mailboxes
from desim.tensors.compressors.base import Compressor
from desim.tensors.compressors.bf16 import BFloat16
from desim.tensors.compressors.none import NoCompressor
from desim.worker.message import Message
from desim.worker.protocol import Waiting, Worker


def _adds_up(compressor: Compressor) -> Compressor:
    if not isinstance(compressor, NoCompressor | BFloat16):
        raise ValueError(
            "must be of kind 'none' (with bits = 16, 32 or 64) or 'bf16': all-reduce sends sums of "
            "vectors on, and a sum of compressed ones is not as short as they are"
        )
    return compressor


#: What may be done to vectors that are added up on their way: floats of some width.
Floats = Annotated[Compressor, AfterValidator(_adds_up)]


def chunks(floats: Compressor, vector_bits: int, members: int) -> list[int]:
    """The bits of each chunk.

    Args:
        floats: of which kind.
        vector_bits: the size of a whole vector.
        members: how many chunks.
    """
    bits = floats.sent_bits(1)
    least, longer = divmod(vector_bits // bits, members)
    return [bits * (least + (place < longer)) for place in range(members)]


def chunk_sizes(
    floats: Compressor, size: Callable[[Compressor], int], members: Sequence[int]
) -> tuple[int, ...]:
    """The sizes of all messages, in bits, for an `Algorithm.message_bits`.

    Args:
        floats: of which kind.
        size: as `message_bits` is given it.
        members: how many there may be, the usual number first.
    """
    found: list[int] = []
    for number in members:
        parts = chunks(floats, size(floats), number)
        found += sorted(parts, key=lambda bits: -parts.count(bits))
    return tuple(dict.fromkeys(bits for bits in found if bits))


def ring_mean(
    me: Worker,
    mailboxes: Mailboxes,
    ring: Sequence[int],
    number: int,
    floats: Compressor,
    own: Message,
) -> Waiting:
    """Waits for the mean of all members' vectors, and gives it.

    Args:
        me: one of them.
        mailboxes: what they send arrives there.
        ring: the members, each linked to the next and the last to the first.
        number: of this all-reduce; each is in one at a time, by ascending numbers.
        floats: what own was compressed with.
        own: this member's vector. One that comes back after a crash may bring another: what counts
            is the one that it has handed out before.
    """
    count, place = len(ring), ring.index(me.id)
    sizes, after = chunks(floats, own.size_bits, count), ring[(place + 1) % count]
    there = mailboxes.since(me, number)[number]
    vectors = {me.id: there.setdefault("own", own.content)}
    news = vectors.copy()  # what it has not sent on yet
    for step in range(2 * (count - 1)):
        leaving, coming = sizes[(place - step) % count], sizes[(place - step - 1) % count]
        if leaving:
            mailboxes.send(me, after, number, step, Message(news, leaving))
            news = {}
        if coming:
            if step not in there:
                yield from me.until(partial(there.__contains__, step))
            news = news | there[step]
            vectors |= there[step]
    return (yield from me.mean([vectors[member] for member in sorted(vectors)]))
