"""alpha(t) = a / (b + t): the rate of SGD's theorems for strongly convex losses.

b is the length and a = alpha b, so that alpha(0) = alpha (Robbins, Monro 1951; with this offset
Bottou, Curtis, Nocedal 2018, arXiv 1606.04838, Theorem 4.7).
"""

from typing import Any, ClassVar

from desim.step_sizes._schedule import Schedule


class InverseTime(Schedule):
    """a / (b + t) with b the length and a = alpha b: half of alpha after one length."""

    kind: ClassVar[str] = "inverse-time"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"alpha": 0.5, "over_steps": 10},
        {"alpha": 0.5, "over_s": 5.0},
    )

    def factor(self, u: float) -> float:
        """1 / (1 + u)."""
        return 1 / (1 + u)
