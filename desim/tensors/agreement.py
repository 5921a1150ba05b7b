"""Data, model and loss are held against each other once, before anything is trained.

What is found is said of the part at fault: the data (`problem.dataset`), the model's outputs
(`problem.model`) or the loss (`problem.loss`).
"""

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress

import torch
from torch import Tensor, nn

from desim.errors import DesimError, ModelError, ScenarioError
from desim.schema.own_code import is_own, name_of, reason
from desim.tensors.losses.base import GivenLoss, Loss
from desim.tensors.objective import Objective, Regulariser

#: So many samples are tried.
_TRIED = 3

#: A loss of the user's own is tried with so many different whole numbers of the targets.
_LABELS = 1 << 12


def taken_inputs(objective: Objective, parts: Sequence[Tensor]) -> list[Tensor]:
    """Inputs as the model takes them: whole numbers as they are, as int64 or as floats.

    Args:
        objective: the model.
        parts: (samples, *inputs) each; the first has samples.

    Raises:
        ModelError: the model takes them in no form, or its outputs aren't a tensor with one row
            for each sample.
    """
    first, floats = parts[0][:_TRIED], objective.pack().dtype
    forms = [floats] if first.is_floating_point() else [first.dtype, torch.int64, floats]
    failed = []
    for dtype in dict.fromkeys(forms):
        try:
            outputs = _outputs(objective, first.to(dtype))
        except Exception as error:  # whatever the user's module does
            failed.append(reason(error))
            continue
        _check_outputs(objective, outputs, first.to(dtype))
        taken = [part.to(dtype) for part in parts]
        for part in taken:
            _try_extremes(objective, part)
        return taken
    causes = "; as floats: ".join(dict.fromkeys((failed[0], failed[-1])))
    where = _failing_layer(objective, first.to(floats))
    raise ModelError(f"{_model(objective)} fails on inputs of {_form(first)}{where}: {causes}")


def _failing_layer(objective: Objective, inputs: Tensor) -> str:
    """', in 0 (Linear)': the last layer that was entered; nothing where that is the module."""
    entered: list[str] = []

    def note(name: str) -> Callable[..., None]:
        return lambda layer, _: entered.append(f", in {name} ({type(layer).__name__})")

    layers = [(name, layer) for name, layer in objective.module.named_modules() if name]
    hooks = [layer.register_forward_pre_hook(note(name)) for name, layer in layers]
    with suppress(Exception):  # told already
        _outputs(objective, inputs)
    for hook in hooks:
        hook.remove()
    return entered[-1] if entered else ""


def _outputs(objective: Objective, inputs: Tensor) -> Tensor:
    """The outputs at the initial model; the module's buffers stay as they are."""
    buffers = {name: buffer.clone() for name, buffer in objective.module.named_buffers()}
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        outputs: Tensor = objective.outputs(objective.unpack(objective.pack()) | buffers, inputs)
    return outputs


def _check_outputs(objective: Objective, outputs: object, inputs: Tensor) -> None:
    if not isinstance(outputs, Tensor):
        raise ModelError(
            f"{_model(objective)} gives a {type(outputs).__name__}; must be a tensor (samples, "
            "...): wrap it in a module whose forward returns the outputs alone"
        )
    if not outputs.is_floating_point():
        raise ModelError(f"{_model(objective)} gives {outputs.dtype}; must be floats")
    if outputs.device != inputs.device:
        raise ModelError(
            f"{_model(objective)} gives outputs on {outputs.device}; must be on {inputs.device}, "
            "where the inputs are"
        )
    try:
        alone = _outputs(objective, inputs[:1])
    except Exception:  # the check of its gradient says more of layers that mix samples
        alone = outputs[:1]
    for samples, found in ((len(inputs), outputs), (1, alone)):
        if found.shape[:1] != (samples,) or found.shape[1:] != outputs.shape[1:]:
            raise ModelError(
                f"{_model(objective)} gives outputs of shape {tuple(found.shape)} for {samples} "
                f"sample{'s' * (samples > 1)}; the first dimension must be the samples, also of "
                "one alone (squeeze(-1) for squeeze())"
            )


def _try_extremes(objective: Objective, inputs: Tensor) -> None:
    """Tries the samples with the least and the greatest whole number, which may be no token."""
    if inputs.is_floating_point() or not inputs.numel():
        return
    flat = inputs.reshape(len(inputs), -1)
    for greatest in (flat.amax(1), -flat.amin(1)):
        row = int(greatest.argmax())
        try:
            _outputs(objective, inputs[row : row + 1])
        except Exception as error:  # whatever the user's module does
            limit = abs(int(greatest[row]))
            raise ModelError(
                f"{_model(objective)} fails on an input that holds {limit}: {reason(error)}"
            ) from None


def check_regulariser(objective: Objective, regulariser: Regulariser) -> None:
    """Raises ScenarioError where what is added to the loss isn't one number, or can't be had."""
    parameters = objective.unpack(objective.pack())
    key = f"problem.regulariser: {name_of(regulariser)}"
    try:
        value: object = regulariser(parameters, torch.ones_like(objective.pack()[0]))
    except Exception as error:  # whatever the user's function does
        raise ScenarioError(f"{key} fails: {reason(error)}") from None
    if not isinstance(value, Tensor) or value.ndim or not value.is_floating_point():
        what = _form(value) if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise ScenarioError(f"{key} gives {what}; must be one float, a tensor of shape ()")


def taken_targets(
    objective: Objective, inputs: Tensor, held: Tensor, train: Tensor, test: Tensor
) -> tuple[Tensor, Tensor]:
    """Targets as the loss takes them, of the samples that somebody holds and of the test part.

    Args:
        objective: the model and the loss.
        inputs: of the samples that somebody holds, as the model takes them.
        held: which these are.
        train: (samples, ...), the targets of all training samples.
        test: (samples, ...), those of the test part, which may have none.

    Raises:
        ScenarioError: targets don't fit the model's outputs or the loss, or the loss doesn't give
            one number for each sample.
    """
    loss, floats = objective.loss, objective.pack().dtype
    rows = _various(train[held])
    outputs = _outputs(objective, inputs[rows])
    forms = [floats] if train.is_floating_point() else [train.dtype]
    if _handed_over(loss):  # desim's own say themselves what they take
        forms = list(dict.fromkeys((*forms, floats)))
    failed = []
    for dtype in forms:
        taken = _prepared(loss, "train_y", train.to(dtype), outputs)
        tried = _prepared(loss, "test_y", test.to(dtype), outputs) if len(test) else test
        try:
            check_loss(loss, outputs, taken[held][rows])
        except DesimError:
            raise
        except Exception as error:  # whatever the user's function does
            failed.append(reason(error))
            continue
        if not train.is_floating_point() and _handed_over(loss):
            _try_labels(loss, outputs, {"train_y": taken, "test_y": tried})
        return taken[held], tried.to(taken.dtype)
    raise ScenarioError(
        f"{_loss(loss)} fails on outputs of {_form(outputs)} and targets of "
        f"{_form(train[held][rows])}: {failed[0]}"
    )


def _various(targets: Tensor) -> Tensor:
    """The places of a few samples, whose targets differ if any do."""
    other = (targets != targets[0]).reshape(len(targets), -1).any(1).nonzero()[:1, 0]
    first = torch.arange(min(_TRIED, len(targets)), device=targets.device)
    places: Tensor = torch.unique(torch.cat([other, first])[:_TRIED])
    return places


def _prepared(loss: Loss, name: str, targets: Tensor, outputs: Tensor) -> Tensor:
    try:
        prepared: Tensor = loss.prepared(targets, outputs)
    except ValueError as error:
        raise ScenarioError(f"problem.dataset: {name}{error}") from None
    return prepared


def check_loss(loss: Loss, outputs: Tensor, targets: Tensor) -> None:
    """Checks that a loss gives one number for each sample, of this sample alone.

    Args:
        loss: the loss.
        outputs: of the model for some samples, (some, ...).
        targets: of these samples, as the loss takes them.

    Raises:
        ScenarioError: it doesn't.
        Exception: what the loss raises.
    """
    _refuse_parameters(loss)
    leaf = outputs.detach().requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a broadcast, which is refused
        losses = loss(leaf, targets)
        _check_losses(loss, losses, leaf, targets)
        if not _close(loss(leaf, targets), losses):
            raise ScenarioError(
                f"{_loss(loss)} gives other losses for the same outputs and targets the second "
                "time; must neither draw random numbers nor keep anything from call to call"
            )
        alone = [loss(leaf[k : k + 1], targets[k : k + 1]).reshape(-1) for k in range(len(outputs))]
    if any(len(one) != 1 for one in alone) or not _close(torch.cat(alone), losses):
        raise ScenarioError(
            f"{_loss(loss)} gives a sample another loss among others ({losses.tolist()}) than "
            f"alone ({torch.cat(alone).tolist()}), from outputs of shape {tuple(outputs.shape)} "
            f"and targets of shape {tuple(targets.shape)}; must depend on its own output and "
            "target alone: are they broadcast, or is there a mean over the batch?"
        )
    weights = torch.linspace(0.5, 1, len(outputs), dtype=outputs.dtype, device=outputs.device)
    gradient = Loss.gradient(loss, outputs, targets, weights)
    if type(loss).gradient is not Loss.gradient and is_own(loss):
        given = loss.gradient(outputs.clone(), targets, weights)
        if given.shape != gradient.shape or not _close(given, gradient):
            raise ScenarioError(f"{_loss(loss)}: `gradient` isn't the derivative of its losses")
    correct = loss.correct(outputs, targets)
    if correct is not None and correct.shape != losses.shape:
        raise ScenarioError(
            f"{_loss(loss)}: `correct` gives the shape {tuple(correct.shape)} for {len(outputs)} "
            "samples; must be one truth value, or share, for each"
        )


def _refuse_parameters(loss: Loss) -> None:
    """Raises ScenarioError where a loss is a module with parameters of its own to train."""
    module = getattr(loss, "function", None)
    if not isinstance(module, nn.Module):
        return
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            raise ScenarioError(
                f"{_loss(loss)} has a parameter {name} that nobody would train; move it into the "
                "model, or freeze it with requires_grad_(False)"
            )


def _check_losses(loss: Loss, losses: object, outputs: Tensor, targets: Tensor) -> None:
    if not isinstance(losses, Tensor):
        kind = type(losses).__name__
        raise ScenarioError(f"{_loss(loss)} gives a {kind}; must be a tensor (samples,)")
    if losses.shape != (len(outputs),):
        hint = "take the mean over the rest, .flatten(1).mean(1)"
        if not losses.ndim:
            hint = "a loss of torch.nn needs reduction='none'"
        elif outputs.shape != targets.shape:
            hint = "targets aren't broadcast, give them the outputs' shape"
        raise ScenarioError(
            f"{_loss(loss)} gives the shape {tuple(losses.shape)} for {len(outputs)} samples, from "
            f"outputs of {_form(outputs)} and targets of {_form(targets)}; must be one number per "
            f"sample: {hint}"
        )
    if not losses.is_floating_point():
        raise ScenarioError(f"{_loss(loss)} gives {losses.dtype}; must be floats")


def _try_labels(loss: Loss, outputs: Tensor, parts: dict[str, Tensor]) -> None:
    """Tries each different whole number: a function can't say which classes it takes.

    Only on the processor, where every study is checked first: a GPU doesn't survive a wrong class.
    """
    if outputs.device.type != "cpu":
        return
    for name, targets in parts.items():
        numbers = torch.unique(targets)
        if len(numbers) > _LABELS:  # no classes
            numbers = numbers[[0, -1]]
        for number in numbers:
            try:
                loss(outputs[:1], number.expand(1, *targets.shape[1:]))
            except Exception as error:  # whatever the user's function does
                first = (targets == number).nonzero()[0].tolist()
                raise ScenarioError(
                    f"problem.dataset: {name}{first} = {int(number)}: {_called(loss)} fails on it "
                    f"with outputs of shape {tuple(outputs.shape[1:])}: {reason(error)}"
                ) from None


def _handed_over(loss: Loss) -> bool:
    return isinstance(loss, GivenLoss) or is_own(loss)


def _loss(loss: Loss) -> str:
    return f"problem.loss: {_called(loss)}"


def _called(loss: Loss) -> str:
    if isinstance(loss, GivenLoss):
        return name_of(loss.function)
    return name_of(loss) if is_own(loss) else loss.kind


def _model(objective: Objective) -> str:
    return f"problem.model: {type(objective.module).__name__}"


def _form(tensor: Tensor) -> str:
    return f"shape {tuple(tensor.shape)}, {str(tensor.dtype).removeprefix('torch.')}"


def _close(one: Tensor, other: Tensor) -> bool:
    """Whether numbers are equal apart from rounding, in float32 at least."""
    return torch.allclose(one.double(), other.double(), rtol=1e-3, atol=1e-5, equal_nan=True)
