"""What workers send each other."""

from typing import Any, NamedTuple

_FLOAT_BITS = 32


class Message(NamedTuple):
    """A content and its size on the wire.

    Attributes:
        content: what arrives: a ref, a number, or a tuple of these.
        size_bits: how many bits it takes.
    """

    content: Any
    size_bits: int

    @classmethod
    def of(cls, *parts: "Message | float") -> "Message":
        """One message of several, or of numbers (32 bits each); its content is a tuple."""
        messages = [p if isinstance(p, Message) else Message(p, _FLOAT_BITS) for p in parts]
        return cls(tuple(m.content for m in messages), sum(m.size_bits for m in messages))
