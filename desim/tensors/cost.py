"""What a gradient of the real model costs: floating-point operations, bytes moved, operators.

A device's roofline (Williams, Waterman, Patterson 2009, doi:10.1145/1498765.1498785) turns the
first two into a time; small models take the time that the framework needs to start each operator.
Operations are those of matrix products, convolutions and attention, two for each multiply-add; the
others are elementwise and bounded by memory. Bytes are counted as if every
operator read all its inputs from memory and wrote all its outputs: the roofline's usual upper
count, which caches and fused kernels undercut (a look-up in an embedding reads its whole table).
Not counted: the loss, which is small next to the model (a sum stands in for it), and the step.
"""

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from desim.errors import ModelError

#: Two points of a straight line; not 1, for which torch may choose other operators.
_BATCHES = (4, 8)

_aten = torch.ops.aten

#: Operators that move nothing, besides those that torch itself declares views.
_IDLE = frozenset(
    {
        _aten._unsafe_view,
        _aten.empty,
        _aten.empty_like,
        _aten.empty_strided,
        _aten.new_empty,
        _aten.new_empty_strided,
    }
)


class Cost(NamedTuple):
    """The cost of one gradient of a mean over a batch: fixed + batch x per sample.

    Attributes:
        flops_per_sample: floating-point operations.
        bytes_per_sample: inputs, activations and their gradients.
        bytes_fixed: parameters and their gradients.
        flops_fixed: what is computed from the parameters alone (a weight that is a product of two).
        operators: how many operators of torch are run, whatever the batch.
    """

    flops_per_sample: float
    bytes_per_sample: float
    bytes_fixed: float
    flops_fixed: float = 0.0
    operators: float = 0.0


def count(module: nn.Module, input_shape: tuple[int, ...]) -> Cost:
    """The cost of a gradient of all the module's parameters.

    Args:
        module: its forward takes (batch, *input_shape); a copy is run, it stays as it is.
        input_shape: of one input.

    Raises:
        ModelError: the module takes no such inputs, or has no gradient.
    """
    few, many = (totals(module, input_shape, batch) for batch in _BATCHES)
    flops, moved, _ = (
        (y - x) / (_BATCHES[1] - _BATCHES[0]) for x, y in zip(few, many, strict=True)
    )
    return Cost(flops, moved, few[1] - _BATCHES[0] * moved, few[0] - _BATCHES[0] * flops, few[2])


def totals(module: nn.Module, input_shape: tuple[int, ...], batch: int) -> tuple[int, int, int]:
    """Floating-point operations, bytes moved and operators run in a forward and backward pass.

    Args:
        module, input_shape: as for `count`.
        batch: samples.

    Raises:
        ModelError: as for `count`.
    """
    try:
        return _totals(module, input_shape, batch, "meta")
    except Exception:  # a forward that needs numbers, or makes tensors on a device of its own
        try:
            return _totals(module, input_shape, batch, "cpu")
        except Exception as error:
            why = " ".join(str(error).split())[:200]
            raise ModelError(
                "problem.model: the cost of its gradient can't be counted with inputs of shape "
                f"{(batch, *input_shape)}: {type(error).__name__}: {why}"
            ) from None


def _totals(
    module: nn.Module, input_shape: tuple[int, ...], batch: int, device: str
) -> tuple[int, int, int]:
    # The copy's forward may draw (dropout) and change its buffers.
    with torch.random.fork_rng(devices=[]):
        module = copy.deepcopy(module).to(device).requires_grad_()
        dtype = next((p.dtype for p in module.parameters()), None)
        inputs = torch.zeros(batch, *input_shape, dtype=dtype, device=device)
        with FlopCounterMode(display=False) as flops, _Traffic() as traffic:
            module(inputs).sum().backward()
    return flops.get_total_flops(), traffic.bytes, traffic.operators


# The ignored errors: torch's modes are not annotated.
class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the sizes of the inputs and outputs of every operator that isn't a view.

    An expanded tensor counts in full: the one that a sum's gradient is stands in for a loss's
    gradient, which is not.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = self.operators = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        outputs = func(*args, **kwargs)
        if not func.is_view and func.overloadpacket not in _IDLE:
            self.operators += 1
            leaves = tree_leaves((args, kwargs, outputs))
            self.bytes += sum(leaf.nbytes for leaf in leaves if isinstance(leaf, Tensor))
        return outputs
