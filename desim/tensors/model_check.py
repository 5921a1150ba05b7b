"""Tries a module on two samples before it is trained: its gradient must be that of autograd."""

from collections.abc import Callable
from functools import partial
from typing import NoReturn, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from desim.errors import ModelError
from desim.schema.own_code import reason
from desim.streams import Streams
from desim.tensors.draws import Draws
from desim.tensors.modules import buffers, described, trained
from desim.tensors.objective import Objective

_T = TypeVar("_T")

#: Two workers take the same two samples, in either order.
_WORKERS, _SAMPLES = np.arange(2), torch.tensor([[0, 1], [1, 0]])

#: Padding that changes the mean and the neighbours of the samples.
_PADDED = torch.tensor([[0, 1, 0, 0], [1, 0, 1, 1]])

#: Two gradients are the same where no number differs by more than so much of its tensor's largest.
_TOLERANCE = {torch.float32: 1e-3, torch.float64: 1e-6}

_LOSS = "the loss"


def check(objective: Objective, inputs: Tensor, targets: Tensor) -> None:
    """Tries the module on the first two samples, and takes the gradients of two workers at once.

    Sets `objective.draws`, and leaves the module and torch's generators as they were.

    Raises:
        ModelError: the module doesn't work, mixes the samples of a batch, changes or draws numbers,
            or torch.func can't batch its gradient; the layer is named.
    """
    _refuse_batch_statistics(objective.module)
    devices = [inputs.device] if inputs.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        objective.draws = _try_forward(objective, inputs[_SAMPLES[0] % len(inputs)])
        _try_gradients(objective, inputs, targets)


def _refuse_batch_statistics(module: nn.Module) -> None:
    for name, layer in module.named_modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm) and (
            layer.training or layer.running_mean is None
        ):
            frozen = "" if layer.running_mean is None else ", or freeze it by its .eval()"
            raise ModelError(
                f"problem.model: {described(name, layer)} normalises by the other samples of a "
                f"batch; use GroupNorm or LayerNorm{frozen}"
            )


def _try_forward(objective: Objective, inputs: Tensor) -> bool:
    """Two forward passes as in training, and two as in an evaluation; whether the first draw."""
    module = objective.module
    where = described("", module)
    parameters = {name: p.detach().clone() for name, p in trained(module).items()}
    before, given = buffers(module), inputs.clone()
    modes = []

    def trains() -> object:
        modes.append(Draws(Streams(0), 0, 0))
        with modes[-1]:
            return objective.run(parameters, inputs)

    def evaluates() -> object:
        return objective.outputs(parameters, inputs)

    shape = tuple(inputs.shape)
    for forward, advice in (
        (trains, "desim draws for dropout only (and bernoulli), by worker and step"),
        (evaluates, "draw in training only: F.dropout(x, p, self.training)"),
    ):
        pair = []
        for seed in range(2):
            torch.manual_seed(seed)
            outputs = _located(
                module, forward, lambda at, why: f"{at} can't take inputs of shape {shape}: {why}"
            )
            if not isinstance(outputs, Tensor):
                _refuse(
                    f"{where} gives a {type(outputs).__name__} in training; must be a tensor: wrap "
                    "it in a module whose forward returns the outputs alone"
                )
            pair.append(outputs)
        _compare_buffers(module, before)
        _compare_others(objective, parameters, inputs, given)
        if not _same(*pair):
            _refuse(
                f"{_first_to_differ(module, forward)} gives other outputs when it is called again: "
                f"it draws random numbers, or counts its calls; {advice}"
            )
    return modes[0].calls > 0


def _compare_buffers(module: nn.Module, before: dict[str, Tensor]) -> None:
    after = dict(module.named_buffers())
    for name, tensor in before.items():
        if name not in after or not torch.equal(tensor, after[name]):
            layer = module.get_submodule(name.rpartition(".")[0])
            _refuse(
                f"{described(name.rpartition('.')[0], layer)} changes its buffer "
                f"{name.rpartition('.')[2]} when it is called: state that workers don't share; "
                "freeze the layer by its .eval(), or use one without"
            )


def _compare_others(
    objective: Objective, parameters: dict[str, Tensor], inputs: Tensor, given: Tensor
) -> None:
    where = described("", objective.module)
    if not torch.equal(inputs, given):
        _refuse(f"{where} changes its inputs in place; must leave the data as they are: x.clone()")
    own = objective.unpack(objective.pack())
    for name, value in parameters.items():
        if not torch.equal(torch.nan_to_num(value), torch.nan_to_num(own[name])):
            _refuse(f"{where} changes its parameter {name} when it is called (max_norm?)")


def _try_gradients(objective: Objective, inputs: Tensor, targets: Tensor) -> None:
    module, device = objective.module, inputs.device
    row = objective.pack()
    rows = torch.stack([row, 0.875 * row])  # models that differ, so that none stands for another
    weights = torch.full((2, 2), 0.5, dtype=row.dtype, device=device)
    batches = torch.full((2,), 2.0, dtype=row.dtype, device=device)
    before = buffers(module)

    def batched(chosen: Tensor, weights: Tensor) -> dict[str, Tensor]:
        chosen = chosen % len(inputs)
        with Draws(Streams(0), _WORKERS, 0 * _WORKERS):
            gradient = vmap(grad(objective), randomness="different")
            found = gradient(
                objective.unpack(rows), inputs[chosen], targets[chosen], weights, batches
            )
        return dict(found)

    def refusal(at: str, why: str) -> str:
        return f"{at} can't be differentiated for many workers at once: {why}"

    expected = _located(module, lambda: _one_by_one(objective, rows, inputs, targets), refusal)
    padding = torch.zeros_like(weights)
    for chosen, weighed, why in (
        (_SAMPLES, weights, "torch.func.vmap gives another gradient than autograd"),
        (
            _PADDED,
            torch.cat([weights, padding], 1),
            "the gradient of a sample depends on the other samples of the batch",
        ),
    ):
        found = _located(module, partial(batched, chosen, weighed), refusal)
        _compare_buffers(module, before)
        if not _equal(found, expected, _TOLERANCE[row.dtype]):
            _refuse(f"{described('', module)} can't be trained by many workers at once: {why}")


def _one_by_one(
    objective: Objective, rows: Tensor, inputs: Tensor, targets: Tensor
) -> dict[str, Tensor]:
    """The gradients that autograd finds, with each row in turn as the module's own parameters."""
    own = trained(objective.module)
    kept = objective.pack()
    device, dtype = rows.device, rows.dtype
    found = []
    try:
        for worker in range(2):
            chosen = _SAMPLES[worker] % len(inputs)
            _fill(own, objective.unpack(rows[worker]))
            with Draws(Streams(0), worker, 0):
                outputs = objective.module(inputs[chosen])
                if not outputs.requires_grad:
                    where = described("", objective.module)
                    _refuse(
                        f"{where}'s outputs don't depend on what is trained (detach(), no_grad(), "
                        "or only frozen parameters in use)"
                    )
                value = objective.loss(outputs, targets[chosen]).mean()
                batch = torch.tensor(2.0, dtype=dtype, device=device)
                value = value + objective.regulariser(dict(own), batch)
            gradients = torch.autograd.grad(value, list(own.values()), allow_unused=True)
            found.append(
                [
                    torch.zeros_like(p) if g is None else g.to_dense()
                    for p, g in zip(own.values(), gradients, strict=True)
                ]
            )
    finally:
        _fill(own, objective.unpack(kept))
    return dict(zip(own, map(torch.stack, zip(*found, strict=True)), strict=True))


def _fill(own: dict[str, nn.Parameter], values: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(values[name])


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(
        one.detach(), other.detach(), rtol=1e-4, atol=1e-6, equal_nan=True
    )


def _equal(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> bool:
    """Whether gradients agree up to rounding, which is that of the largest numbers."""
    largest = max(map(_largest, expected.values()), default=0.0)
    return all(
        torch.allclose(
            found[name],
            gradient,
            rtol=0,
            atol=tolerance * (_largest(gradient) + tolerance * largest),
            equal_nan=True,
        )
        for name, gradient in expected.items()
    )


def _largest(numbers: Tensor) -> float:
    """The largest finite magnitude, 0 if there is none."""
    finite = numbers[numbers.isfinite()].abs()
    return float(finite.max()) if finite.numel() else 0.0


def _located(module: nn.Module, call: Callable[[], _T], refusal: Callable[[str, str], str]) -> _T:
    """What a call of the module gives.

    Raises:
        ModelError: what `refusal` makes of the layer that was entered last, and of the error.
    """
    try:
        return call()
    except ModelError:
        raise
    except Exception as error:
        why = reason(error)
        if "data-dependent control flow" in why:
            why = "data-dependent control flow (.item(), a branch on numbers): use torch.where"
        at = _entered(module, call)
        if at == _LOSS:
            raise ModelError(
                f"problem.loss: doesn't fit the model's outputs and the targets: {why}"
            ) from None
        _refuse(refusal(at, why))


def _entered(module: nn.Module, call: Callable[[], object]) -> str:
    """The layer that a call that fails enters last; the call is made again, under hooks."""
    entered = ["what is before the model's first layer"]

    def enter(text: str) -> Callable[..., None]:
        return lambda *_: entered.append(text)

    hooks = [
        layer.register_forward_pre_hook(enter(described(name, layer)))
        for name, layer in module.named_modules()
    ]
    hooks.append(module.register_forward_hook(enter(_LOSS)))
    try:
        call()
    except Exception:
        return entered[-1]
    finally:
        for hook in hooks:
            hook.remove()
    return described("", module)


def _first_to_differ(module: nn.Module, forward: Callable[[], object]) -> str:
    """The first layer to end with another output when the forward pass is made again."""
    seen: list[list[tuple[str, Tensor]]] = [[], []]

    def keep(calls: list[tuple[str, Tensor]], text: str) -> Callable[..., None]:
        def hook(_layer: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                calls.append((text, output.detach().clone()))

        return hook

    for seed, calls in enumerate(seen):
        torch.manual_seed(seed)
        hooks = [
            layer.register_forward_hook(keep(calls, described(name, layer)))
            for name, layer in module.named_modules()
        ]
        try:
            forward()
        finally:
            for hook in hooks:
                hook.remove()
    differ = (text for (text, a), (_, b) in zip(*seen, strict=False) if not _same(a, b))
    return next(differ, described("", module))


def _refuse(text: str) -> NoReturn:
    raise ModelError(f"problem.model: {text}")
