"""QSGD with Elias codes (Alistarh et al. 2017, arXiv 1610.02132, theorem 3.2).

The values are those of `low-precision`; only levels above zero are sent. After the norms come their
number plus one, and for each its distance from the last one, its sign and its level: all integers
in Elias' omega code, whose length is l(1) = 1, l(k) = l(floor(log2 k)) + floor(log2 k) + 1.
"""

from __future__ import annotations

from math import ceil, log, log2, sqrt
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from desim.tensors.compressors import _buckets as buckets
from desim.tensors.compressors.low_precision import LowPrecision
from desim.tensors.lazy import torch
from desim.tensors.wire import Integers, Reader, Writer, elias_bits

if TYPE_CHECKING:
    from torch import Tensor


class EliasQSGD(LowPrecision):
    """Low-precision quantizer whose messages are short where most levels are zero."""

    kind: ClassVar[str] = "elias-qsgd"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"levels": 1},
        {"levels": 10},
        {"levels": 127, "bucket": 48},
        {"levels": 3, "norm": "max"},
    )

    @property
    def sized_by_content(self) -> bool:
        """Unless something else is billed."""
        return self.billed_bits is None

    def size_bits(self, parameters: int) -> int:
        """A bound on the expected size: theorem 3.2 with numbers in the place of its o(1).

        l(k) <= 1 + 2.5 log2(k), with equality at 4 and 16. For n levels above zero, whose squares
        sum to S, of d parameters in all, distances and levels then take at most
        n (3 + 2.5 log2(d / n) + 1.25 log2(S / n)) bits with the signs, as the logarithm is concave.
        For the same reason n and S may be replaced by their means: E n <= min(d, s (s + sqrt d)),
        E S <= s^2 tau (lemma 3.1; each bucket), and with the max-norm E S <= d s^2.
        """
        number, s = buckets.count(parameters, self.bucket), self.levels
        d = min(self.bucket or parameters, parameters)
        if self.norm == "max":
            most, squares = float(parameters), parameters * float(s) ** 2
        else:
            most = min(parameters, number * s * (s + sqrt(d)))
            squares = number * s**2 * (1 + self._extra(parameters))
        # Where the bound is largest over n, if that is less than n can be.
        peak = (3 - 3.75 / log(2) + 2.5 * log2(parameters) + 1.25 * log2(squares)) / 3.75
        n = min(most, 2**peak)
        each = 3 + 2.5 * log2(parameters / n) + 1.25 * log2(squares / n)
        return 32 * number + int(elias_bits(parameters + 1)) + ceil(n * each)

    def content_bits(self, x: Tensor, uniform: Tensor | None) -> int:
        """The exact size."""
        assert uniform is not None
        self._quantized(x[None], levels := uniform[None])
        gaps, found = _gaps(levels[0])
        codes = [elias_bits(n).sum() for n in (len(gaps) + 1, gaps, abs(found))]
        return 32 * buckets.count(len(x), self.bucket) + int(sum(codes)) + len(gaps)

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """Norms, number, distances, signs, levels."""
        assert uniform is not None
        for _, norms in self._quantized(x[None], levels := uniform[None]):
            message.floats(norms)
        gaps, found = _gaps(levels[0])
        message.elias(len(gaps) + 1)
        message.elias(gaps)
        message.integers(found < 0, 1)
        message.elias(abs(found))

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """The levels times the norms."""
        norms = self._read_norms(message, parameters, dtype)
        number = int(message.elias(1)[0]) - 1
        places = message.elias(number).cumsum() - 1
        signs = 1 - 2 * message.integers(number, 1)
        levels = torch.zeros(parameters, dtype=dtype)
        levels[torch.from_numpy(places)] = torch.from_numpy(signs * message.elias(number)).to(dtype)
        return self._scaled(levels, norms)


def _gaps(levels: Tensor) -> tuple[Integers, Integers]:
    """Of the levels that aren't zero, the distances (the first from before the list) and values."""
    values = levels.numpy(force=True)
    places = np.flatnonzero(values)
    return np.diff(places, prepend=-1), values[places].astype(np.int64)
