"""What a gradient of the real model costs: floating-point operations, bytes moved, operators.

A device's roofline (Williams, Waterman, Patterson 2009, doi:10.1145/1498765.1498785) turns the
first two into a time; small models take the time that the framework needs to start each operator.
Operations are those of matrix products, convolutions and attention, as `flops` has them; the others
are elementwise and bounded by memory. Bytes are counted as if every operator read all its inputs
from memory and wrote all its outputs: the roofline's usual upper count, which caches and fused
kernels undercut (a look-up in an embedding reads its whole table). Only trainable parameters have a
gradient, and only what lies above the first of them is passed backward.
Not counted: the loss, which is small next to the model (a sum stands in for it), and the step.

The operators are those that this build of torch runs on a CPU. A pass over a few samples is run
there, since that takes milliseconds, and torch's tensors without memory nearly a second to import;
of a model with too much work for it only the shapes are followed, by such tensors, which see the
same operators (the workspace of a fused LSTM aside). A device of another kind may fuse or split
others.
"""

import copy
from math import inf
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from desim.errors import ModelError
from desim.schema.own_code import reason
from desim.tensors.flops import flops

#: Two points of a straight line; not 1, for which torch may choose other operators.
_BATCHES = (4, 8)

#: Samples that count, where there are so many.
SAMPLES = _BATCHES[-1]

#: A pass with more operations or bytes, some tenths of a second, is followed by shapes alone.
_MOST_FLOPS, _MOST_BYTES = 5e9, 1e9

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


#: Libraries of operators that only look at tensors, or keep time.
_SILENT = ("prim", "profiler")


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


Inputs = Tensor | tuple[int, ...]
_Totals = tuple[float, int, int]


def count(module: nn.Module, inputs: Inputs) -> Cost:
    """The cost of a gradient of all the module's trainable parameters.

    Args:
        module: its forward takes (batch, ...); a copy is run, it stays as it is.
        inputs: samples, (any number, ...), which are repeated where there are too few; or the shape
            of one, for zeros of the parameters' type. Whole numbers are given as they are, or as
            int64 or as floats to a module that doesn't take them so.

    Raises:
        ModelError: the module takes no such inputs, has no gradient, or runs an operator whose
            operations aren't known.
    """
    few, many = _counted(module, inputs, _BATCHES)
    flops, moved, _ = (
        (y - x) / (_BATCHES[1] - _BATCHES[0]) for x, y in zip(few, many, strict=True)
    )
    return Cost(flops, moved, few[1] - _BATCHES[0] * moved, few[0] - _BATCHES[0] * flops, few[2])


def totals(module: nn.Module, inputs: Inputs, batch: int) -> _Totals:
    """Floating-point operations, bytes moved and operators run in a forward and backward pass.

    Args:
        module, inputs: as for `count`.
        batch: samples.

    Raises:
        ModelError: as for `count`.
    """
    return _counted(module, inputs, (batch,))[0]


def _counted(module: nn.Module, inputs: Inputs, batches: tuple[int, ...]) -> list[_Totals]:
    floats = next((p.dtype for p in module.parameters()), torch.get_default_dtype())
    if not isinstance(inputs, Tensor):
        inputs = torch.zeros(1, *inputs, dtype=floats)
    elif not len(inputs):
        inputs = inputs.new_zeros(1, *inputs.shape[1:])
    forms = [inputs.dtype]
    if not (inputs.is_floating_point() or inputs.is_complex()):
        forms += [torch.int64, floats]
    failed: list[str] = []
    for dtype in dict.fromkeys(forms):
        form = inputs.to(dtype)
        try:
            return _passes(module, [form[torch.arange(n) % len(form)] for n in batches])
        except ModelError:
            raise
        except Exception as error:  # whatever a module does
            failed.append(reason(error))
    raise ModelError(
        "problem.model: the cost of its gradient can't be counted with inputs of shape "
        f"{(batches[0], *inputs.shape[1:])}: {failed[0]}"
    )


def _passes(module: nn.Module, batches: list[Tensor]) -> list[_Totals]:
    """All batches in one and the same way, so that they can be compared."""
    numbers = [*module.parameters(), *module.buffers()]
    if sum(tensor.nbytes for tensor in numbers) < _MOST_BYTES / 10:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # several wait for each other longer than the work takes
        try:
            return [
                _run(copy.deepcopy(module), inputs, _Counter(_MOST_FLOPS, _MOST_BYTES))
                for inputs in batches
            ]
        except _TooMuchError:
            pass
        finally:
            torch.set_num_threads(threads)
    try:
        return [_followed(module, inputs) for inputs in batches]
    except ModelError:
        raise
    except Exception:  # a forward that needs numbers
        return [_run(copy.deepcopy(module), inputs, _Counter()) for inputs in batches]


def _followed(module: nn.Module, inputs: Tensor) -> _Totals:
    shapes = FakeTensorMode()
    shapes.cache_enabled = False  # what it keeps between passes changes the copies of gradients
    with FakeCopyMode(shapes):
        module = copy.deepcopy(module)
    with shapes:
        return _run(module, shapes.from_tensor(inputs), _Counter())


def _run(module: nn.Module, inputs: Tensor, counter: "_Counter") -> _Totals:
    # The module is a copy: its forward may change its buffers, and draw (dropout).
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), counter:
        module(inputs).sum().backward()
    return counter.flops, counter.bytes, counter.operators


class _TooMuchError(Exception):
    """A pass has more work than it was given leave for."""


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch doesn't annotate it
    """Adds up operations, and the sizes of inputs and outputs, of every operator.

    Views are no operators here. An expanded tensor counts in full: the one that a sum's gradient is
    stands in for a loss's gradient, which is not.
    """

    def __init__(self, most_flops: float = inf, most_bytes: float = inf) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # nor this
        self._most_flops, self._most_bytes = most_flops, most_bytes
        self.flops, self.bytes, self.operators = 0.0, 0, 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or the first operator imports torch._dynamo, which takes nearly a second

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if torch.is_inference_mode_enabled():  # operators arrive here before they are taken apart
            with self:
                outputs = func.decompose(*args, **kwargs)
            if outputs is not NotImplemented:
                return outputs
        outputs = func(*args, **kwargs)
        if not (func.is_view or func.overloadpacket in _IDLE or func.namespace in _SILENT):
            self._add(func._schema.name, args, kwargs, outputs)
        return outputs

    def _add(self, name: str, args: Any, kwargs: dict[str, Any], outputs: Any) -> None:
        operations = flops(name, args, outputs)
        if operations is None:
            raise ModelError(
                f"problem.model: runs {name}, whose operations can't be counted; must be an "
                "operator that desim knows, or give each table of cluster.hardware a speed_sps"
            )
        self.flops += operations
        self.operators += 1
        leaves = tree_leaves((args, kwargs, outputs))
        self.bytes += sum(_nbytes(leaf) for leaf in leaves if isinstance(leaf, Tensor))
        if self.flops > self._most_flops or self.bytes > self._most_bytes:
            raise _TooMuchError


def _nbytes(tensor: Tensor) -> int:
    if tensor.is_sparse:
        return tensor._indices().nbytes + tensor._values().nbytes
    return tensor.nbytes
