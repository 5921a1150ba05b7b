"""A ref per candidate of a search, behind one ref that an algorithm handles."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from desim.tensors.refs import Ref
from desim.tuning.candidates import Numbers


class CandidateRefs(Ref):
    """One ref per candidate; arithmetic goes candidate by candidate.

    Attributes:
        parts: the refs; None for a candidate that is no longer computed.
    """

    __slots__ = ("parts",)

    def __init__(self, parts: list[Ref | None]) -> None:
        super().__init__([])
        self.parts = parts

    def _with(self, other: Ref, operator: Callable[[Ref, Ref], Ref]) -> CandidateRefs:
        pairs = zip(self.parts, cast(CandidateRefs, other).parts, strict=True)
        return CandidateRefs([None if a is None or b is None else operator(a, b) for a, b in pairs])

    def _scaled(
        self, factor: float | Numbers, operator: Callable[[Ref, float], Ref]
    ) -> CandidateRefs:
        count = len(self.parts)
        factors = factor.values if isinstance(factor, Numbers) else [factor] * count
        pairs = zip(self.parts, factors, strict=True)
        return CandidateRefs([None if ref is None else operator(ref, f) for ref, f in pairs])

    def __add__(self, other: Ref) -> CandidateRefs:
        return self._with(other, Ref.__add__)

    def __sub__(self, other: Ref) -> CandidateRefs:
        return self._with(other, Ref.__sub__)

    def __mul__(self, factor: float | Numbers) -> CandidateRefs:
        return self._scaled(factor, Ref.__mul__)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float | Numbers) -> CandidateRefs:
        return self._scaled(divisor, Ref.__truediv__)

    def __neg__(self) -> CandidateRefs:
        return self * -1.0
