"""What a module must be to be trained, and which of its parameters are."""

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from desim.errors import ModelError
from desim.schema.phrases import one_line


def trained(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are trained: not those that are frozen by `requires_grad_(False)`.

    One that a module has under several names (tied weights) comes once, under the first.
    """
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def admitted(module: object, dtype: torch.dtype) -> nn.Module:
    """A module that desim can train, with its floating-point tensors of the problem's type.

    float32 parameters may become float64; nothing that is more exact than the problem's type, or
    that must stay less exact, is converted without a word. Buffers are constants and converted as
    the data are; whole numbers stay what they are.

    Args:
        module: what a model's `build` returned.
        dtype: float32 or float64.

    Raises:
        ModelError: it is something else than an nn.Module, or one that can't be trained here.
    """
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"problem.model: gave {type(module).__name__}; must be a torch.nn.Module, or a "
            "function without arguments that returns one"
        )
    for name, layer in module.named_modules():
        refused = _wrapped(layer)
        if refused:
            raise ModelError(f"problem.model: {described(name, layer)} {refused}")
        if isinstance(layer, nn.Embedding | nn.EmbeddingBag):
            layer.sparse = False  # the same gradient, as the rows of a store hold it
    _refuse_hooks(module)
    _check_types(module, dtype)
    parameters = list(module.parameters())
    if not trained(module):
        what = "no parameters" if not parameters else "frozen parameters only"
        raise ModelError(
            f"problem.model: {type(module).__name__} has {what}; must have some to train"
            + (": requires_grad_(True)" if parameters else "")
        )
    _check_memory(module)
    return module.to(dtype)


def hooked(layer: nn.Module) -> bool:
    """Whether hooks change or watch what a layer computes or its gradient."""
    return bool(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
    )


def copied(module: nn.Module) -> nn.Module:
    """A copy, parameters and all.

    Raises:
        ModelError: a copy would lose a parameter's hooks, or torch can't make one.
    """
    _refuse_hooks(module)
    try:
        return copy.deepcopy(module)
    except Exception as error:
        raise ModelError(
            f"problem.model: {type(module).__name__} can't be copied "
            f"({one_line(error)}); hand over a function that returns it"
        ) from error


def _refuse_hooks(module: nn.Module) -> None:
    for name, parameter in module.named_parameters():
        if parameter._backward_hooks or parameter._post_accumulate_grad_hooks:
            raise ModelError(
                f"problem.model: {name} has hooks on its gradient, which a worker "
                "doesn't run; must have none: mask or scale what forward computes instead"
            )


def described(name: str, layer: nn.Module) -> str:
    """A layer in messages: its name in the module and its class."""
    kind = type(layer).__name__
    return f"{name} ({kind})" if name else kind


def _wrapped(layer: nn.Module) -> str:
    """What keeps a layer from being trained, whatever its data, and the way out."""
    if any(is_lazy(tensor) for tensor in layer.parameters(recurse=False)) or any(
        is_lazy(tensor) for tensor in layer.buffers(recurse=False)
    ):
        return (
            "has no size before its first call; call the module once on a sample before you hand "
            "it over, or give the layer its size"
        )
    if isinstance(layer, torch.jit.ScriptModule):
        return "is compiled (torch.jit); hand over the module that it was made from"
    if hasattr(layer, "_orig_mod"):
        return "is compiled (torch.compile); hand over its _orig_mod"
    if isinstance(layer, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return "spreads a module over devices; hand over its .module"
    return ""


def _check_types(module: nn.Module, dtype: torch.dtype) -> None:
    """Refuses tensors that a conversion would change."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    for name, tensor in tensors:
        if tensor.is_complex():
            raise ModelError(
                f"problem.model: {name} is {_name(tensor.dtype)}; must be real: keep the real and "
                "the imaginary part as two tensors"
            )
    parameters = [(name, p) for name, p in module.named_parameters() if p.is_floating_point()]
    for name, tensor in parameters:
        if tensor.dtype not in (torch.float32, torch.float64):
            raise ModelError(
                f"problem.model: {name} is {_name(tensor.dtype)}; must be float32 or float64, in "
                "which everything is computed: module.float()"
            )
        if tensor.dtype == torch.float64 and dtype == torch.float32:
            others = any(p.dtype != tensor.dtype for _, p in parameters)
            raise ModelError(
                f"problem.model: {name} is float64"
                + (", other parameters are float32" if others else "")
                + ", problem.dtype is float32; must be one type: problem.dtype = 'float64', or "
                "module.float()"
            )


def _check_memory(module: nn.Module) -> None:
    """Refuses trained parameters that share memory without being one: each would go its own way."""
    for name, p in module.named_parameters():
        if p.is_meta:
            raise ModelError(f"problem.model: {name} has no numbers (device meta); must have some")
        if any(size > 1 and not step for size, step in zip(p.shape, p.stride(), strict=True)):
            raise ModelError(
                f"problem.model: the numbers of {name} share their memory (expand); must have "
                "memory of their own: .clone()"
            )
    ranges = sorted(
        (p.untyped_storage().data_ptr(), p.storage_offset(), p.storage_offset() + p.numel(), name)
        for name, p in trained(module).items()
        if p.numel() and p.is_contiguous()
    )
    for (storage, _, stop, name), (other, start, _, second) in pairwise(ranges):
        if storage == other and start < stop:
            raise ModelError(
                f"problem.model: {name} and {second} share their memory but are two parameters; "
                f"tie them by one nn.Parameter: b.weight = a.weight"
            )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def buffers(module: nn.Module) -> dict[str, Tensor]:
    """Copies of the module's buffers."""
    return {name: tensor.detach().clone() for name, tensor in module.named_buffers()}
