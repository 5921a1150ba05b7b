"""Error feedback (Seide et al. 2014; Stich et al. 2018; Karimireddy et al. 2019, arXiv 1901.09847).

v = x + e;  Q(v) is sent;  e <- v - Q(v)

so that what one message leaves out comes with a later one, and biased compressors converge.
"""

from typing import Any, ClassVar, Self

from pydantic import model_validator

from desim.tensors.compressors._wrapper import Wrapper


class ErrorFeedback(Wrapper):
    """Another compressor, with the error of the last message added to what is sent next.

    The worker keeps the error e; as a function of one vector this is the other compressor.
    """

    kind: ClassVar[str] = "error-feedback"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"compressor": "sign"},
        {"compressor": {"kind": "top-k", "fraction": 0.1}},
        {"compressor": {"kind": "elias-qsgd", "levels": 2, "contractive": True}},
    )

    @property
    def memory(self) -> bool:
        """True."""
        return True

    @model_validator(mode="after")
    def _only_once(self) -> Self:
        if self.compressor.memory:
            raise ValueError(f"compressor = {self.compressor.table()}: has error feedback already")
        return self
