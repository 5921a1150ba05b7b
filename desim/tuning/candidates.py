"""Several step sizes in the place of one: what lets one clock serve all candidates of a search.

`me.step_size()` in an algorithm then gives one number per candidate; refs
(desim/tuning/candidate_refs.py) take them as factors, each candidate its own.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import add, mul, neg, pow, sub, truediv
from typing import NoReturn, cast

from desim.step_sizes._checked import checked
from desim.step_sizes.base import StepSize


class NotOneNumberError(TypeError):
    """An algorithm asked several numbers to be one; its candidates must be run one by one."""


class Numbers:
    """One number per candidate; arithmetic goes candidate by candidate.

    Attributes:
        values: the numbers.
    """

    __slots__ = ("values",)
    # Nor may it be a key, since a key is one number; mypy types __hash__ as a method only.
    __hash__ = None  # type: ignore[assignment]
    # Else numpy's numbers would take it for a scalar of their own.
    __array_ufunc__ = None

    def __init__(self, values: list[float]) -> None:
        self.values = values

    def _with(self, other: object, operator: Callable[[float, float], float]) -> Numbers:
        if isinstance(other, Numbers):
            pairs = zip(self.values, other.values, strict=True)
            return Numbers([operator(a, b) for a, b in pairs])
        if isinstance(other, int | float):
            return Numbers([operator(value, other) for value in self.values])
        return cast(Numbers, NotImplemented)

    def __add__(self, other: object) -> Numbers:
        return self._with(other, add)

    def __sub__(self, other: object) -> Numbers:
        return self._with(other, sub)

    def __mul__(self, other: object) -> Numbers:
        return self._with(other, mul)

    def __truediv__(self, other: object) -> Numbers:
        return self._with(other, truediv)

    def __pow__(self, other: object) -> Numbers:
        return self._with(other, pow)

    def __radd__(self, other: object) -> Numbers:
        return self._with(other, lambda a, b: b + a)

    def __rsub__(self, other: object) -> Numbers:
        return self._with(other, lambda a, b: b - a)

    def __rmul__(self, other: object) -> Numbers:
        return self._with(other, lambda a, b: b * a)

    def __rtruediv__(self, other: object) -> Numbers:
        return self._with(other, lambda a, b: b / a)

    def __neg__(self) -> Numbers:
        return Numbers([neg(value) for value in self.values])

    def _refuse(self, *_: object) -> NoReturn:
        raise NotOneNumberError("stands for one number per candidate")

    # A comparison would have one answer per candidate, and the clock has room for one only.
    __float__ = __int__ = __bool__ = __index__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse


class CandidateStepSizes(StepSize):
    """The step sizes of all candidates.

    Attributes:
        members: one choice of step sizes per candidate.
    """

    members: tuple[StepSize, ...]

    def within(self, rounds: int | None, time_s: float | None) -> CandidateStepSizes:
        """Each with the horizon."""
        within = tuple(checked(member.within(rounds, time_s)) for member in self.members)
        return CandidateStepSizes(members=within)

    def at(self, step: float, time_s: float) -> tuple[float, float]:
        """(alpha, epsilon): Numbers, or a plain number where all candidates have the same."""
        pairs = [member.at(step, time_s) for member in self.members]
        alpha, epsilon = (_one_or_all([pair[k] for pair in pairs]) for k in (0, 1))
        return alpha, epsilon


def _one_or_all(values: list[float]) -> float:
    # To the algorithm Numbers are a float in everything that it may do with one.
    return values[0] if len(set(values)) == 1 else cast(float, Numbers(values))
