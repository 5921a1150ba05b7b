"""A compressor for each layer on its own.

Q(x) = (C(x_1), ..., C(x_L)),  x_l the numbers of one parameter tensor of the model,

as practical codes do (TernGrad, Wen et al. 2017; ChocoSGD, Koloskova et al. 2020): norms, largest
numbers and k are then those of a layer, and each costs its bits anew.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import PrivateAttr

from desim.tensors.compressors._wrapper import Wrapper
from desim.tensors.compressors.base import Compressor
from desim.tensors.lazy import torch
from desim.tensors.wire import Reader, Writer

if TYPE_CHECKING:
    from torch import Tensor


class PerLayer(Wrapper):
    """Another compressor, applied to each parameter tensor of the model.

    Until it is `fitted` to a model it takes all parameters for one layer.
    """

    kind: ClassVar[str] = "per-layer"
    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"compressor": "sign"},
        {"compressor": {"kind": "top-k", "fraction": 0.1}},
        {"compressor": {"kind": "error-feedback", "compressor": "terngrad"}},
        {"compressor": {"kind": "elias-qsgd", "levels": 2}},
    )

    _layers: tuple[int, ...] | None = PrivateAttr(default=None)

    def fitted(self, layers: tuple[int, ...]) -> Compressor:
        """One that knows where layers begin and end."""
        made = self.model_copy()
        made._layers = layers
        return made

    def _sizes(self, parameters: int) -> tuple[int, ...]:
        """The layers' sizes.

        Raises:
            ValueError: they don't add up to so many parameters.
        """
        layers = self._layers or (parameters,)
        if sum(layers) != parameters:
            raise ValueError(
                f"parameters = {parameters}: must be {sum(layers)}, the sum of the layers' sizes; "
                "`fitted` gives a compressor for another model"
            )
        return layers

    def _slices(self, parameters: int) -> list[slice]:
        ends = [0, *accumulate(self._sizes(parameters))]
        return [slice(start, end) for start, end in pairwise(ends)]

    def size_bits(self, parameters: int) -> int:
        """The sum over layers."""
        return sum(map(self.compressor.size_bits, self._sizes(parameters)))

    def content_bits(self, x: Tensor, uniform: Tensor | None) -> int:
        """The sum over layers."""
        return sum(
            self.compressor.content_bits(x[part], None if uniform is None else uniform[part])
            for part in self._slices(len(x))
        )

    def sent_bits(self, parameters: int) -> int:
        """What is billed here, or else the sum over layers."""
        if self.billed_bits is not None:
            return super().sent_bits(parameters)
        return sum(map(self.compressor.sent_bits, self._sizes(parameters)))

    def error_bound(self, parameters: int) -> float:
        """The sum of the layers' bounds, or the largest of relative ones."""
        bounds = map(self.compressor.error_bound, self._sizes(parameters))
        return max(bounds) if self.error == "relative" else sum(bounds)

    def __call__(self, rows: Tensor, *, uniform: Tensor | None) -> Tensor:
        """Layer by layer."""
        out = torch.empty_like(rows) if uniform is None else uniform
        for part in self._slices(rows.shape[1]):
            own = None if uniform is None else uniform[:, part]
            result = self.compressor(rows[:, part], uniform=own)
            if own is None or result.data_ptr() != own.data_ptr():
                out[:, part] = result
        return out

    def write(self, x: Tensor, uniform: Tensor | None, message: Writer) -> None:
        """Layer by layer."""
        for part in self._slices(len(x)):
            own = None if uniform is None else uniform[part]
            self.compressor.write(x[part], own, message)

    def read(
        self, message: Reader, parameters: int, dtype: torch.dtype, uniform: Tensor | None
    ) -> Tensor:
        """Layer by layer."""
        return torch.cat(
            [
                self.compressor.read(
                    message,
                    part.stop - part.start,
                    dtype,
                    None if uniform is None else uniform[part],
                )
                for part in self._slices(parameters)
            ]
        )
