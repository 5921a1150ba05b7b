"""Dropout whose masks are named by worker and step.

torch draws masks from one generator, in the order of the calls: a mask would depend on which
workers were computed together. Here each number of a mask is a hash of the trial's seed, the
worker, the step, the number of the call within the forward pass and the number's place: the same
whatever else is computed in the call, and whatever padding stands behind a batch. The hash is that
of desim.streams, SplitMix64, one round for each coordinate of the place.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from desim.streams import Streams

_aten = torch.ops.aten

#: 2 ** 64 / the golden ratio and the multipliers of SplitMix64, as signed numbers.
_GOLDEN, _MIX_1, _MIX_2 = (
    word - (1 << 64) for word in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


class Draws(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch doesn't annotate it
    """While it is entered, Bernoulli numbers (dropout of every kind) are named.

    Everything else that draws is left to torch.

    Args:
        streams: the trial's random numbers.
        workers, steps: what names the gradients of a call of torch.func.vmap with
            randomness="different", whose tensors have the workers as their first dimension; or
            one worker and step of a plain call, as integers.

    Attributes:
        calls: how many tensors of numbers were drawn.
    """

    def __init__(
        self,
        streams: Streams,
        workers: int | npt.NDArray[np.int64],
        steps: int | npt.NDArray[np.int64],
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # nor this
        self._streams, self._workers, self._steps = streams, workers, steps
        self._many = not isinstance(workers, int)
        self.calls = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        packet = func.overloadpacket
        if packet is _aten.native_dropout and args[2] is not False:
            kept = self._bernoulli(args[0], 1 - args[1])
            scale = 0.0 if args[1] == 1 else 1 / (1 - args[1])
            return args[0] * kept * scale, kept
        if packet not in (_aten.bernoulli, _aten.bernoulli_):
            return func(*args, **kwargs)
        like = args[0]
        odds = args[1] if len(args) > 1 else kwargs.get("p")
        if odds is None:  # the tensor's own numbers, or the operator's default
            odds = like if packet is _aten.bernoulli else 0.5
        drawn = self._bernoulli(like, odds)
        return like.copy_(drawn) if packet is _aten.bernoulli_ else drawn.to(like.dtype)

    def _bernoulli(self, like: Tensor, odds: float | Tensor) -> Tensor:
        """Which numbers of a tensor of this shape are one, each with its odds."""
        names = self._streams.words("dropout", self._workers, self._steps, self.calls)
        self.calls += 1
        keys = torch.from_numpy(names.view(np.int64)).to(like.device)
        words = hashed(keys if self._many else keys[0], like.shape[1 if self._many else 0 :])
        odds = odds.double() if isinstance(odds, Tensor) else odds
        return ((words >> 11) & ((1 << 53) - 1)) < odds * 2.0**53


def hashed(keys: Tensor, shape: tuple[int, ...]) -> Tensor:
    """64-bit words, (*keys.shape, *shape): each the hash of its key and its place in `shape`.

    Args:
        keys: int64.
        shape: of what belongs to one key.
    """
    words = keys
    for size in shape:
        places = torch.arange(1, size + 1, device=keys.device) * _GOLDEN
        words = _mixed(words.unsqueeze(-1) + places)
    return words


def _mixed(words: Tensor) -> Tensor:
    """SplitMix64's last step, in place; an arithmetic shift to the right needs its sign cut off."""
    words.bitwise_xor_((words >> 30).bitwise_and_((1 << 34) - 1)).mul_(_MIX_1)
    words.bitwise_xor_((words >> 27).bitwise_and_((1 << 37) - 1)).mul_(_MIX_2)
    return words.bitwise_xor_((words >> 31).bitwise_and_((1 << 33) - 1))
