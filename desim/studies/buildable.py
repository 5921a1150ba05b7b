"""What is checked before a study begins, so that a bad scenario stops it early."""

from __future__ import annotations

from desim.engine.collecting import rarely_collecting
from desim.errors import ScenarioError
from desim.scenario.scenario import Trial
from desim.scenario.setting import Setting
from desim.streams import Streams
from desim.studies.amounts import (
    check_amount,
    check_deadline,
    check_numbers,
    measure,
    tell_repeats,
)
from desim.studies.slow_operators import noted
from desim.tensors.lazy import torch


def check_device(device: str) -> None:
    """Raises ScenarioError where torch can't use the device."""
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ScenarioError(f"--device = {device}: torch can't use it here ({reason})") from None


def check_counts(**counts: int | None) -> None:
    """Raises ScenarioError where an option that counts something is less than 1."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ScenarioError(f"--{name} = {count}: must be at least 1")


def check_buildable(trials: list[Trial], *, train: bool) -> None:
    """Builds each sweep point's graph and problem once, so that a bad one stops a run early.

    What is cheap to find out comes first: numbers, then the data, then the graph.
    """
    points: dict[str, list[Setting]] = {}
    for trial in trials:
        points.setdefault(repr(trial.point), []).append(trial.setting)
    for settings in points.values():
        _check_point([one for one in settings if one.seed == settings[0].seed], train=train)


def _check_point(settings: list[Setting], *, train: bool) -> None:
    """The same for one setting of each method."""
    first = settings[0]
    streams, workers = Streams(first.seed), first.cluster.size
    check_numbers(settings, streams, train=train)
    if train:
        with noted():  # of what is slow, the trials tell
            task = first.problem.task(workers, streams, torch.device("cpu"))
        tell_repeats(settings, task.shards)
    else:
        first.problem.parameters(streams)  # the clock needs the model's size
    fleet = first.fleet(streams)
    for setting in settings:
        setting.algorithm.check(fleet)
        check_deadline(setting, fleet, train=train)
    with rarely_collecting(workers):
        for setting in {_network_of(setting): setting for setting in settings}.values():
            _check_weights(setting, streams)
    for setting in settings:
        check_amount(setting, fleet)


def _network_of(setting: Setting) -> str:
    """What a method's graph and W depend on."""
    own = setting.algorithm
    return repr((own.topology, own.mixing, own.has_server, own.averages))


def _check_weights(setting: Setting, streams: Streams) -> None:
    """Raises ScenarioError where there is no graph, or no W for a method that averages with it."""
    weights = setting.weights(streams)
    try:
        _ = weights.own
    except ScenarioError:
        # Whether the method ever asks for W is known from its rounds only.
        measure(setting, int(weights.graph.degrees.sum()))
