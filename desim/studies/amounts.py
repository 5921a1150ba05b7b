"""How much a scenario amounts to, and what is refused as too much.

What numbers alone tell is looked at before anything is built: how many samples a batch has, how
large the model is. How many evaluations and messages a trial has may need the mean time of a round,
which is simulated: always by `desim check`, by a run only where there might be too many.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Sized as HasLength
from dataclasses import dataclass, replace
from math import ceil, inf, isfinite

import numpy as np

from desim.algorithms.parts.deadline import Deadline
from desim.clock.environment import Bounded
from desim.clock.fleet import Fleet
from desim.clock.timeline import MOST_SAMPLES
from desim.engine.simulation import MOST_EVALUATIONS, Simulation
from desim.engine.stopping import step_limit, time_limit
from desim.errors import ScenarioError, warn
from desim.scenario.setting import Setting
from desim.scenario.stopping import Evaluate, Stop
from desim.schema.own_code import is_own
from desim.schema.phrases import short
from desim.streams import Streams
from desim.tensors.lazy import torch
from desim.tensors.memory import in_gb, memory_bytes
from desim.tensors.models.base import GivenModel
from desim.tensors.plane import Sized

#: Expected round times are simulated with the clock alone, over so many rounds ...
_ROUNDS = 200

#: ... or fewer, so that no more than so many messages are sent ...
_MESSAGES = 200_000

#: ... and so many of the clock's events happen, a second or two's worth.
_EVENTS = 300_000

#: A trial with more messages, or local steps, would take a desktop computer weeks, at some 100,000
#: a second.
MOST_MESSAGES = 10**11

#: A round of more messages would take such a computer a quarter of an hour.
MOST_IN_A_ROUND = 10**8

#: Larger than any model that was ever trained; a message's bits then fit into the results' columns.
MOST_PARAMETERS = 10**12


@dataclass(frozen=True)
class Measured:
    """What a few rounds of the clock alone have shown.

    Attributes:
        rounds: how many were asked for.
        round_s: the mean time of a round (local step); inf where no worker ended any.
        bits_per_step: sent per local step, over all links; inf likewise.
    """

    rounds: int
    round_s: float
    bits_per_step: float


@dataclass(frozen=True)
class Amount:
    """What one trial amounts to, about; inf where that isn't known.

    Attributes:
        evaluations: of the model, with those at the beginning and at the end.
        rounds: local steps per worker.
        messages: over all links, of the method's usual size.
    """

    evaluations: float
    rounds: float
    messages: float


def check_numbers(settings: Sequence[Setting], streams: Streams, *, train: bool) -> None:
    """Refuses what is too large or too much by its numbers alone.

    Args:
        settings: of each method, which differ in nothing else.
        streams: of the trial, for the size of a model that has to be built.
        train: whether there will be data and gradients.

    Raises:
        ScenarioError: the key, what it amounts to and the most that there may be.
    """
    for setting in settings:
        _check_round(setting)
        if not setting.algorithm.has_server:
            topology = setting.algorithm.topology or setting.network.topology
            topology.check_links(setting.cluster.size)
    _check_model(settings[0], streams, train=train)
    for setting in settings:
        batch = getattr(setting.algorithm, "batch", None)
        if isinstance(batch, int):
            _check_batch(setting, batch, f"batch = {batch}", train=train)


def _check_model(setting: Setting, streams: Streams, *, train: bool) -> None:
    parameters = _parameters(setting, streams)
    if parameters > MOST_PARAMETERS:
        raise ScenarioError(
            f"problem.model = {short(setting.problem.model.table())}: has {parameters:,} "
            f"parameters; must have at most {MOST_PARAMETERS:,}"
        )
    # A model whose operations are counted is built once, without training too.
    copies = setting.cluster.size if train else int(setting.cluster.needs_cost())
    size_bytes = _number_bytes(setting) * parameters * copies
    if size_bytes > memory_bytes():
        raise ScenarioError(
            f"problem.model = {short(setting.problem.model.table())}: {parameters:,} parameters, "
            f"{copies:,} times, take {in_gb(size_bytes)}; must be at most the "
            f"{in_gb(memory_bytes())} of this machine"
        )


def tell_repeats(settings: Sequence[Setting], shards: Sequence[HasLength]) -> None:
    """Warns of batches that are larger than what a worker holds: samples stand in them repeatedly.

    Args:
        settings: of each method.
        shards: what each worker holds.
    """
    least = min(map(len, shards))
    for setting in settings:
        batch = getattr(setting.algorithm, "batch", None)
        if isinstance(batch, int) and batch > least:
            warn(
                f"algorithms.{setting.algorithm.name}.batch = {batch}: a worker holds {least} "
                "samples, so that some stand in a batch more than once; give fewer, or more "
                "samples_per_worker"
            )


def _check_round(setting: Setting) -> None:
    name, workers = setting.algorithm.name, setting.cluster.size
    messages, links = setting.algorithm.messages_per_round(workers)
    if messages > MOST_IN_A_ROUND:
        raise ScenarioError(
            f"algorithms.{name}: {workers:,} workers send {messages:,} messages in each round, on "
            f"{links:,} links; must be at most {MOST_IN_A_ROUND:,}, with fewer workers"
        )


def check_deadline(setting: Setting, fleet: Fleet, *, train: bool) -> None:
    """Refuses a deadline in which more samples are expected than fit.

    Raises:
        ScenarioError: as `check_numbers`.
    """
    algorithm = setting.algorithm
    if isinstance(algorithm, Deadline):
        deadline_s = algorithm.deadline(fleet)
        batch = min(fleet.mean_batch(deadline_s), algorithm.max_batch or inf)
        if isfinite(batch):
            named = "expected_batch" if algorithm.deadline_s is None else "deadline_s"
            key = f"{named} = {getattr(algorithm, named):g}"
            if algorithm.deadline_s is not None:
                key += f": stands for {batch:.4g} samples"
            _check_batch(setting, batch, key, train=train)


def _check_batch(setting: Setting, batch: float, key: str, *, train: bool) -> None:
    key = f"algorithms.{setting.algorithm.name}.{key}"
    if batch > MOST_SAMPLES:
        raise ScenarioError(
            f"{key}: must be at most {MOST_SAMPLES:,} samples, which timelines can hold"
        )
    if train:
        inputs = int(np.prod(setting.problem.dataset.shape().inputs, dtype=object))
        size_bytes = batch * (8 + _number_bytes(setting) * inputs)
        if size_bytes > memory_bytes():
            raise ScenarioError(
                f"{key}: a batch takes {in_gb(size_bytes)}; must be at most the "
                f"{in_gb(memory_bytes())} of this machine"
            )


def _number_bytes(setting: Setting) -> int:
    return 4 if setting.problem.dtype == "float32" else 8


def _parameters(setting: Setting, streams: Streams) -> int:
    """The model's size; one that comes with desim takes no memory for it."""
    problem = setting.problem
    ours = not (is_own(problem.model) or isinstance(problem.model, GivenModel))
    shape = problem.dataset.shape()
    known = problem.model.parameter_sizes(shape) if ours else None
    if known is not None:
        return sum(known)
    if not ours:
        return problem.parameters(streams)
    try:
        with torch.device("meta"):
            return sum(p.numel() for p in problem.model.build(shape).parameters())
    except (RuntimeError, TypeError, OverflowError):
        return MOST_PARAMETERS + 1  # torch has no tensors of such sizes


def check_amount(setting: Setting, fleet: Fleet) -> None:
    """Refuses a trial with too many evaluations or messages; simulates it only where need be.

    Raises:
        ScenarioError: as `check_numbers`.
    """
    rules, workers = setting.stop.all_rules(), setting.cluster.size
    time_s, steps = time_limit(rules).at, step_limit(rules, workers).at
    steps = min(steps, time_s * _steps_per_s(setting, fleet))
    every_s, every_rounds = setting.evaluate.every_s, setting.evaluate.every_rounds
    evaluations = time_s / every_s if every_s else steps / workers / (every_rounds or 1)
    # No method sends more than this in a step, but for rounds of consensus.
    if evaluations > MOST_EVALUATIONS or steps * 2 * workers > MOST_MESSAGES:
        layers = setting.problem.layers(Streams(setting.seed))
        amount(setting, measure(setting, 2 * workers), usual_bits(setting, layers))


def _steps_per_s(setting: Setting, fleet: Fleet) -> float:
    """How many local steps end in a second, over all workers, if no message takes any time."""
    algorithm = setting.algorithm
    if isinstance(algorithm, Deadline):
        return setting.cluster.size / algorithm.deadline(fleet)
    batch = getattr(algorithm, "batch", 1)
    return sum(
        group.count / (group.timing.seconds(batch) * group.stragglers.mean_slowdown())
        for group in fleet.groups
    )


def usual_bits(setting: Setting, layers: tuple[int, ...]) -> int:
    """The size of the messages that its method usually sends, in bits."""
    sized = Sized(layers)
    return setting.algorithm.message_bits(lambda used: sized(used)[1], setting.cluster.size)[0]


def measure(setting: Setting, links: int) -> Measured:
    """Simulates some rounds of the clock alone; the step sizes' horizon doesn't matter to it.

    Args:
        setting: the trial.
        links: directed links of its graph.
    """
    sends = links / (1 - setting.network.link.losses()[0])
    rounds = max(1, min(_ROUNDS, int(_MESSAGES / sends)))
    clock = replace(setting, stop=Stop(rounds=rounds), evaluate=Evaluate(every_rounds=rounds))
    simulation = Simulation(clock, train=False, env=Bounded(_EVENTS))
    outcome = simulation.run()
    steps = outcome.rows[-1].steps
    if not steps:
        return Measured(rounds, inf, inf)
    round_s = outcome.time_s * setting.cluster.size / steps
    return Measured(rounds, round_s, simulation.network.bits_sent / steps)


def length(setting: Setting, round_s: float) -> tuple[float, float]:
    """How many local steps and seconds a trial takes that nothing ends early."""
    rules, workers = setting.stop.all_rules(), setting.cluster.size
    time_s, rounds = time_limit(rules).at, step_limit(rules, workers).at / workers
    return min(rounds, time_s / round_s), min(time_s, rounds * round_s)


def amount(setting: Setting, measured: Measured, message_bits: int) -> Amount:
    """What a trial amounts to.

    Raises:
        ScenarioError: that is too much; with the key.
    """
    rounds, time_s = length(setting, measured.round_s)
    evaluate, workers = setting.evaluate, setting.cluster.size
    if evaluate.every_s is not None:
        evaluations = time_s / evaluate.every_s
    else:
        assert evaluate.every_rounds is not None
        evaluations = rounds / evaluate.every_rounds
    steps = rounds * workers
    bits = steps * measured.bits_per_step if steps else 0.0
    messages = bits / message_bits
    _refuse(setting, evaluations, max(steps, messages), bits)
    return Amount(ceil(evaluations) + 1 if isfinite(evaluations) else inf, rounds, messages)


def _refuse(setting: Setting, evaluations: float, messages: float, bits: float) -> None:
    evaluate, stop = setting.evaluate, setting.stop
    if MOST_EVALUATIONS < evaluations < inf:
        key = "every_s" if evaluate.every_s is not None else "every_rounds"
        raise ScenarioError(
            f"evaluate.{key} = {getattr(evaluate, key):g}: amounts to {evaluations:.4g} evaluations"
            f" of a trial with {setting.algorithm.name}; must be at most {MOST_EVALUATIONS:,}"
        )
    given = next((k for k in ("time_s", "rounds", "steps") if getattr(stop, k) is not None), None)
    key = f"stop.{given} = {getattr(stop, given):g}" if given else "stop.rules"
    if MOST_MESSAGES < messages < inf:
        raise ScenarioError(
            f"{key}: amounts to {messages:.4g} messages or steps in a trial with "
            f"{setting.algorithm.name}; must be at most {MOST_MESSAGES:.0e}"
        )
    if 2**63 <= bits < inf:
        raise ScenarioError(
            f"{key}: amounts to {bits:.4g} bits sent in a trial with {setting.algorithm.name}; "
            "must be less than 2^63, which results can hold"
        )
