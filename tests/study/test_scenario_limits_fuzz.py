"""Hostile values anywhere: a scenario is refused in lines, or checked and run to finite times.

A mutant that takes more than 5 s of processor time fails, rather than hangs, by an alarm.
"""

import copy
import math
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest
from tiny import Table, paths, put, tiny

from desim.cli import options
from desim.engine.simulation import Simulation
from desim.errors import DesimError
from desim.scenario.scenario import Scenario, from_table, prepared
from desim.studies.buildable import check_buildable
from desim.studies.plan import Plan, plan

#: Seconds of processor time that reading and checking a mutant may take.
_ALLOWED_S = 5

#: Mutants with more messages a trial are checked only.
_QUICK = 20_000

STEP: Table = {"kind": "constant", "alpha": 0.5}

#: Scenarios whose tables have most kinds of numbers between them.
BASES = [
    tiny(),
    tiny(
        {
            "stop": {"time_s": 3.0},
            "evaluate": {"every_s": 0.5},
            "cluster.hardware": {"speed_sps": 50.0},
            "cluster.stragglers": {"kind": "markov", "mean_slow_s": 10.0},
            "faults": {"workers": {"mean_up_s": 2.0, "mean_down_s": 0.1}},
            "network.link": {"kind": "fair", "up_bps": 1e5, "loss": 0.1, "resend_after_s": 0.5},
        }
    ),
    tiny(
        {
            "stop": {"steps": 20},
            "cluster": {
                "hardware": [{"profile": "t4", "count": 2}, {"speed_sps": 50.0, "count": 2}],
                "stragglers": {"kind": "shifted-exponential", "shift": 0.5, "mean": 0.5},
            },
            "network.topology": {"kind": "erdos-renyi", "p": 0.9},
            "network.link": {
                "kind": "dedicated",
                "bandwidth_bps": {"low": 1e4, "high": 1e5},
                "latency_s": 0.01,
                "jitter_s": 0.01,
            },
            "faults": {"links": [{"between": [0, 1], "down_s": 0.5, "up_s": 1.0}]},
            "algorithms": [
                {"kind": "sgp", "batch": 5, "step_size": STEP},
                {"kind": "local-dsgd", "batch": 5, "local_steps": 2, "step_size": STEP},
                {"kind": "all-reduce-sgd", "batch": 5, "step_size": STEP},
                {"kind": "anytime-minibatch", "expected_batch": 5, "consensus_rounds": 2}
                | {"step_size": STEP},
            ],
        }
    ),
    tiny(
        {
            "sweep": {"problem.l2": [0.0, 0.1]},
            "cluster.stragglers": {"kind": "pareto", "index": 2.5},
            "network.link": {"kind": "shared-medium", "bandwidth_bps": 1e5, "latency_s": 0.01},
            "algorithms.0": {"kind": "prague", "batch": 5, "group": 2, "step_size": STEP},
            "algorithms.1.step_size": {"kind": "step-decay", "alpha": 0.5, "over_steps": 3},
        }
    ),
]

VALUES: list[Any] = [
    *(0, 1, 2, 3, -1, 7, 100, 2000, 2**31 - 1, 2**31, 2**62, 2**63 - 1, 2**63, 10**30, -(2**70)),
    *(0.0, -0.0, 1e-9, 1e-30, 1e-38, 1e-45, 1e-300, 1e-320, 5e-324, 0.5, 0.999999, 1.0, 1e3),
    *(1e9, 1e16, 1e20, 1e30, 3e38, 1e39, 1e300, 1e308, -1e308, -1e-320),
    *(math.inf, -math.inf, math.nan, True, False, "", "x", "\0", "\ud800", "né\u0301", "🐟" * 70),
    *("a" * 5000, "../..", "/dev/zero", ".", "ring", "complete", "none", [], {}, [[]], [1, 1]),
    *(
        [0.1, 1e-320],
        [2**63],
        {"kind": "ring"},
        {"low": 1e-38, "high": 3e38},
        {"low": 2, "high": 1},
    ),
    *({"kind": "pareto", "index": 1e-38}, {"kind": "lognormal", "sigma": 3e38}),
    *({"kind": "exponential", "mean": 1e-38}, {"kind": "exponential", "mean": 3e38}),
    *({"kind": "bimodal", "factor": 3e38}, {"kind": "markov", "mean_slow_s": 1e-6}),
    *({"mean_up_s": 1e-9, "mean_down_s": 1e-9}, {"mean_up_s": 1e9, "mean_down_s": 1e9}),
    *([{"worker": 0, "down_s": 0.0, "up_s": 1e9}], {"rounds": 10**12}, {"time_s": 1e30}),
    *({"every_s": 1e-9}, {"every_s": 1e30}, {"every_rounds": 10**18}),
]

FACTORS = [2, 3, 10, 100, 1_000, 10**6, 10**9, 10**12]

TEXTS = [
    *("1e-320", "1e308", "1e400", "9" * 5000, "-1", "nan", "inf", "true", "''", '"\\u0000"', "[]"),
    *("[" * 20_000, "[" * 200 + "]" * 200, "{}", "{a=1}", "2024-01-01", "0x" + "f" * 5000, "1\n2"),
    *("=", "[1,", "'x", "1_000", "a" * 5000, "\udcff", "é", "9223372036854775807", "1e-9", "1e9"),
    *("2", "5", "20", "100", "0.1", "0.9", "1.0", "2.0", "1e3", "1e6", "1e-3", "1e-6", "1e12"),
    *("'ring'", "'none'", "'complete'", "'metropolis'", "'digits'", "1e16", "1000000", "10"),
    *("[[1,2],[3]]", "{kind='ring'}", "[1e-320]", "'*'", "3", "0.5", "1e30", "1e-38"),
]


PLACES = [paths(base) for base in BASES]

#: Keys of optional fields, which no base gives.
EXTRA = [
    *("cluster.hardware", "cluster.server", "cluster.charge_memory", "stop.target_train_loss"),
    *("problem.dtype", "problem.sampling", "problem.partition", "network.link.loss"),
    *("network.link.resend_after_s", "network.link.jitter_s", "algorithms.0.optimizer"),
    *("algorithms.0.timeout_s", "algorithms.1.max_batch", "algorithms.1.deadline_s", "faults"),
    *("cluster.hardware.0.overhead_s", "faults.workers", "faults.links", "stop.time_s"),
    *("stop.steps", "evaluate.every_s", "evaluate.iterate", "sweep", "network.link.regions"),
]


class OutOfTime(BaseException):
    """No Exception: nothing may swallow it."""


@contextmanager
def alarmed() -> Iterator[None]:
    """Ends what takes too much processor time."""

    def ring(*_: object) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, _ALLOWED_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def mutant(draw: random.Random) -> Table:
    """A base with one to three places replaced."""
    which = draw.randrange(len(BASES))
    table = copy.deepcopy(BASES[which])
    for _ in range(draw.choice([1, 1, 2, 3])):
        path = draw.choice(PLACES[which])
        if draw.random() < 0.2:
            path = tuple(draw.choice(EXTRA).split("."))
        # An earlier change may have taken the place away.
        with suppress(LookupError, TypeError, ValueError, AttributeError):
            put(table, list(path), copy.deepcopy(replacement(draw, at(table, path))))
    return table


def at(node: Any, path: tuple[str, ...]) -> Any:
    """What stands at a place, or None."""
    for part in path:
        node = node.get(part) if isinstance(node, dict) else node[int(part)]
    return node


def replacement(draw: random.Random, old: Any) -> Any:
    """Any value; or more often a number for a number, which may be accepted."""
    if isinstance(old, int | float) and draw.random() < 0.8:
        numbers = [one for one in VALUES if type(one) is type(old)]
        new = draw.choice(numbers) if draw.random() < 0.6 else old * draw.choice(FACTORS)
        # Many workers, and large models, take their time, as they should.
        return 12 if old in (4, 2) and 12 < new <= 10**8 else new
    return draw.choice(VALUES)


def setting_texts(draw: random.Random) -> list[str]:
    """One or two options --set."""
    which = draw.randrange(len(BASES))
    keys = [".".join(draw.choice(PLACES[which])) for _ in range(draw.choice([1, 2]))]
    if draw.random() < 0.1:
        keys[0] = draw.choice(
            ["a" + ".a" * 20_000, "faults" + ".a" * 20_000, "", ".", "x", "\udcff"]
        )
    if draw.random() < 0.2:
        keys[0] = draw.choice(EXTRA)
    return [f"{key}={draw.choice(TEXTS)}" for key in keys]


def assert_finite(found: Plan) -> None:
    for method in found.methods:
        for number in (*method.message_s, *method.alpha, *method.epsilon):
            assert math.isfinite(number), method
        assert not math.isnan(method.round_s), method
        for number in vars(method.amount).values():
            assert not math.isnan(number), method


def assert_runs(scenario: Scenario, found: Plan) -> bool:
    """Runs the first trial's clock, if that is short; the times must be finite."""
    if not max(m.amount.messages + m.amount.evaluations for m in found.methods) < _QUICK:
        return False
    trial = next(scenario.trials())
    outcome = Simulation(trial.setting, train=False).run()
    for row in outcome.rows:
        assert math.isfinite(row.time_s)
        assert math.isfinite(row["bits_sent"])
    assert outcome.stopped_by != "diverged"
    return True


def attempt(scenario: Scenario) -> Plan | None:
    """What `check` says; a run's own checks must agree."""
    try:
        return plan(scenario, train=False)
    except DesimError as error:
        told(error)
        return None


def told(error: DesimError) -> None:
    """Short lines, which can be printed."""
    for line in str(error).splitlines():
        assert line.strip()
        assert len(line) < 1_000, line[:200]
        line.encode(errors="strict")


def go_through(scenario: Scenario, left: list[int]) -> bool:
    """Checks one scenario, and runs it while some runs are left; whether it was accepted."""
    found = attempt(scenario)
    if found is None:
        return False
    assert_finite(found)
    if left[0] > 0:
        try:
            check_buildable(list(scenario.trials()), train=False)
            left[0] -= assert_runs(scenario, found)
        except DesimError as error:
            told(error)
    return True


def tried(made: Callable[[], Scenario], left: list[int], about: str) -> bool:
    """Whether a scenario is accepted; one that isn't must be told in lines."""
    with alarmed():
        try:
            scenario = made()
        except DesimError as error:
            told(error)
            return False
        try:
            return go_through(scenario, left)
        except BaseException as error:
            error.add_note(about)
            raise


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_mutated_tables(seed: int) -> None:
    draw, accepted, left = random.Random(seed), 0, [45]
    for number in range(1_000):
        table = mutant(draw)
        made = partial(from_table, table)
        accepted += tried(made, left, f"mutant {number} of seed {seed}: {table!r:.3000}")
    assert accepted > 50  # else hardly anything was tried
    assert left[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_mutated_options(seed: int) -> None:
    draw, accepted, left = random.Random(100 + seed), 0, [10]
    scenarios = [from_table(base) for base in BASES]
    for number in range(600):
        texts, base = setting_texts(draw), draw.choice(scenarios)

        def made(base: Scenario = base, texts: list[str] = texts) -> Scenario:
            scenario = prepared(base, options.values(texts), None)
            list(scenario.trials())
            return scenario

        accepted += tried(made, left, f"options {number} of seed {seed}: {texts!r:.3000}")
    assert accepted > 10
    assert left[0] == 0
