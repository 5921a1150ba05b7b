"""What every registered algorithm promises, with each of its `examples`.

A new algorithm is picked up from the registry: it can't be registered without passing. Its examples
after the first are slow tests, as are the promises that take long.
"""

import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import problem, setting, simulate, speeds

from desim.algorithms.base import Algorithm
from desim.engine.simulation import Simulation
from desim.schema.registry import members
from desim.step_sizes.base import StepSize
from desim.step_sizes.constant import Constant
from desim.step_sizes.step_decay import StepDecay
from desim.streams import Streams
from desim.tensors.compressors.base import Compressor
from desim.tensors.plane import Sized
from desim.tensors.problem import Problem
from desim.tuning.shared_clock import SharedClock

N, D = 6, 4
ALPHA = 0.1
#: Nothing is lost on the way, also of 64-bit models.
EXACT = {"kind": "none", "bits": 64}


def cases():
    """(kind, table) of each algorithm and example; a compressor that isn't named loses nothing."""
    for kind, member in members("algorithms").items():
        for example in member.examples:
            fields = {
                name: EXACT
                for name, field in member.model_fields.items()
                if field.annotation is Compressor
            }
            step_size = {"kind": "constant", "alpha": ALPHA}
            yield kind, {"kind": kind, "step_size": step_size} | fields | example


CASES = list(cases())


def name(case):
    kind, table = case
    rest = {k: v for k, v in table.items() if k not in ("kind", "step_size") and v != EXACT}
    return f"{kind} {rest}"


def marked():
    """The cases as parameters."""
    kinds = [kind for kind, _ in CASES]
    for place, case in enumerate(CASES):
        later = case[0] in kinds[:place]
        yield pytest.param(case, id=name(case), marks=[pytest.mark.slow] * later)


@pytest.fixture(params=marked())
def table(request):
    return request.param[1]


def without(table, *keys):
    return {key: value for key, value in table.items() if key not in keys}


#: Persistent speeds, samples/s: the last worker is ten times as slow as the first.
UNEQUAL = speeds(50, 40, 30, 25, 20, 5)
DRAWN = {"kind": "uniform-speed", "low": 10.0, "high": 90.0}
LINK = {"kind": "dedicated", "bandwidth_bps": 1e4, "latency_s": 0.01}
LINKS = [
    {"kind": "fifo", "up_bps": 1e4, "latency_s": 0.01},
    {"kind": "fair", "up_bps": 1e4, "down_bps": 1e4, "latency_s": 0.01},
    {"kind": "shared-medium", "bandwidth_bps": 1e5},
    {"kind": "dedicated", "bandwidth_bps": 1e4, "loss": 0.1, "resend_after_s": 0.1},
]

#: All samples are the same point: every gradient is h (x - 1), whatever is drawn.
NO_NOISE = problem(
    parameters=D,
    samples=10 * N,
    dataset={"kind": "quadratic", "samples": 10 * N, "dimension": D, "spread": 0.0},
    model={"kind": "quadratic", "condition": 2.0},
    dtype="float64",
)
NOISE = problem(parameters=D, samples=200 * N, dtype="float64")
DIGITS = Problem(
    dataset="digits",
    model={"kind": "mlp", "hidden": [6]},
    samples_per_worker=25,
    dtype="float64",
)


def trial(table, **changes):
    fields = {
        "workers": N,
        "topology": "ring",
        "stragglers": UNEQUAL,
        "link": LINK,
        "problem": NO_NOISE,
        "stop": {"rounds": 20},
        "seed": 3,
    }
    return setting(table, **(fields | changes))


def nodes(simulation):
    return [*simulation.workers, *([simulation.server] if simulation.server else [])]


def all_models(simulation):
    tape = simulation.tape
    rows = [tape.record(node.model, node.id) for node in nodes(simulation)]
    tape.flush()
    return np.stack([tape.kernels.store.data[row.row].numpy() for row in rows])


def solved(outcome):
    """Distances of the evaluated model's loss from the least, evaluation by evaluation."""
    return np.array([row["train_loss"] for row in outcome.rows])


@pytest.mark.parametrize("kind", members("algorithms"))
def test_every_algorithm_has_examples_that_make_one(kind):
    member = members("algorithms")[kind]
    assert member.examples, f"{kind}: give {member.__name__}.examples a table for these tests"
    for _, table in [case for case in CASES if case[0] == kind]:
        try:
            Algorithm.parse(table)
        except ValueError as error:
            pytest.fail(f"{kind}: {table} makes none ({error}); put in all fields without default")


@pytest.mark.parametrize("kind", members("algorithms"))
def test_its_file_is_short_and_tells_the_equation_and_the_source(kind):
    module = inspect.getmodule(members("algorithms")[kind])
    assert module.__file__
    assert len(Path(module.__file__).read_text().splitlines()) < 120
    opening = module.__doc__.partition("\n\n")[0]
    assert any(digit.isdigit() for digit in module.__doc__), f"{kind}: cite a paper with its year"
    assert opening.endswith((".", ":", ")"))


def test_without_noise_it_reaches_the_optimum_whatever_the_speeds(table):
    outcome = Simulation(trial(table, stop={"rounds": 300})).run()
    gaps = solved(outcome)
    assert outcome.stopped_by == "rounds"
    assert gaps[0] == pytest.approx(0.5 * (0.5 + 1) / 2 * D, rel=0.1)
    assert gaps[-1] < 1e-8


@pytest.mark.slow
def test_with_noise_it_stays_within_the_floor_of_one_worker_alone(table):
    """SGD alone, x <- x - alpha (x - theta), has the variance alpha sigma^2 / (b (2 - alpha))."""
    outcome = Simulation(
        trial(table, problem=NOISE, stop={"rounds": 300}, evaluate={"every_rounds": 5})
    ).run()
    least = 0.5 * NOISE.dataset.load().train_x.var(0).sum()
    floor = 0.5 * D * ALPHA / (5 * (2 - ALPHA))
    assert (solved(outcome)[30:] - least).mean() < 2 * floor


def test_batched_and_one_by_one_evaluation_agree(table):
    fields = {"problem": DIGITS, "stragglers": DRAWN, "stop": {"rounds": 25}}
    runs = [Simulation(trial(table, **fields), one_by_one=alone) for alone in (False, True)]
    outcomes = [run.run() for run in runs]
    found, expected = map(all_models, runs)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    assert outcomes[0].time_s == outcomes[1].time_s
    assert np.abs(found - all_models(Simulation(trial(table, **fields)))).max() > 1e-3  # it moved


def test_a_seed_gives_the_same_bytes(table):
    fields = {"problem": DIGITS, "stragglers": DRAWN, "stop": {"rounds": 10}}
    first, second, other = (
        simulate(trial(table, **(fields | {"seed": seed})), train=True) for seed in (3, 3, 4)
    )
    pd.testing.assert_frame_equal(first.timeline, second.timeline, check_exact=True)
    assert all_models(first.simulation).tobytes() == all_models(second.simulation).tobytes()
    assert all_models(first.simulation).tobytes() != all_models(other.simulation).tobytes()


def test_the_clock_alone_gives_the_same_intervals(table):
    fields = {"stragglers": DRAWN, "stop": {"rounds": 10}}
    trained, clock = (simulate(trial(table, **fields), train=train) for train in (True, False))
    pd.testing.assert_frame_equal(trained.timeline, clock.timeline, check_exact=True)


def test_bits_are_messages_times_their_size(table):
    given = trial(table, stop={"rounds": 30})
    run = simulate(given)
    received = run.rows("receive")
    assert received.bits.sum() == run.simulation.network.bits_sent
    sized = Sized(given.problem.layers(Streams(given.seed)))
    sizes = given.algorithm.message_bits(lambda compressor: sized(compressor)[1], N)
    counts = received.bits.value_counts()
    assert set(counts.index) <= set(sizes)
    assert counts[sizes[0]] == counts.max()


def test_it_ends_when_asked(table):
    for stop in ({"time_s": 4.0}, {"steps": 40}, {"rounds": 7}):
        outcome = simulate(trial(table, stop=stop)).outcome
        (key, value), last = *stop.items(), outcome.rows[-1]
        assert outcome.stopped_by == key
        assert {"time_s": outcome.time_s, "steps": last.steps, "rounds": last.round}[key] == value
    target = {"rounds": 300, "target_train_loss": 0.1}
    outcome = Simulation(trial(table, stop=target, evaluate={"every_rounds": 1})).run()
    assert outcome.stopped_by == "target_train_loss"
    assert solved(outcome)[-1] <= 0.1 < solved(outcome)[-2]


def accounted_s(run):
    """Seconds in which workers do something or wait, added up over all of them."""
    total_s = 0.0
    kinds = ["compute", "wait", "send", "average", "compress"]
    spans = run.timeline[run.timeline.kind.isin(kinds) & (run.timeline.worker < N)]
    for _, own in spans.groupby("worker"):
        covered_s = 0.0
        for start_s, end_s in sorted(zip(own.start_s, own.end_s, strict=True)):
            end_s = min(end_s, run.outcome.time_s)
            total_s += max(0.0, end_s - max(start_s, covered_s))
            covered_s = max(covered_s, end_s)
    return total_s


@pytest.mark.slow
@pytest.mark.parametrize("link", LINKS, ids=str)
def test_it_runs_on_every_kind_of_link(table, link):
    run = simulate(trial(table, link=link, stop={"rounds": 20}))
    assert run.outcome.stopped_by == "rounds"
    assert len(run.rows("receive"))
    # What a worker was at when the trial ended isn't told: here up to 6 % of its time.
    assert accounted_s(run) > 0.9 * N * run.outcome.time_s


@pytest.mark.slow
def test_crashes_cost_time_only(table):
    faults = {"workers": {"mean_up_s": 20.0, "mean_down_s": 2.0}}
    outcome = Simulation(trial(table, faults=faults, stop={"rounds": 300})).run()
    assert outcome.stopped_by == "rounds", outcome.stalled
    assert solved(outcome)[-1] < 1e-6


def test_memory_is_charged_where_asked(table):
    hardware = [{"speed_sps": 20.0, "memory_bytes_per_s": 1e3}]
    fields = {"stragglers": "none", "hardware": hardware, "stop": {"rounds": 10}}
    free, charged = (
        simulate(trial(table, charge_memory=charge, **fields)) for charge in (False, True)
    )
    assert charged.rows("average").shape[0] > 0 or charged.simulation.server
    assert charged.outcome.time_s >= free.outcome.time_s


@pytest.mark.slow
def test_momentum_weight_decay_and_clipping_go_with_it(table):
    optimizer = {"momentum": 0.5, "nesterov": True, "clip_norm": 1.0, "weight_decay": 0.5}
    step_size = {"kind": "constant", "alpha": ALPHA / 2}
    changed = table | {"optimizer": optimizer}
    if table["step_size"] == {"kind": "constant", "alpha": ALPHA}:
        changed |= {"step_size": step_size}
    run = Simulation(trial(changed, stop={"rounds": 150}))
    run.run()
    # h (x - 1) + x / 2 = 0
    h = np.logspace(np.log10(0.5), 0, D)
    expected = h / (h + 0.5)
    model = (run.server or run.workers[0]).model
    node = run.tape.record(model, 0)
    run.tape.flush()
    found = run.tape.kernels.store.data[node.row].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.slow
def test_several_step_sizes_share_a_clock(table):
    sizes = [Constant(alpha=ALPHA), StepDecay(alpha=ALPHA / 3, over_steps=4, by=0.5)]
    if table["kind"] == "anytime-minibatch":  # its step can't change
        sizes[1] = Constant(alpha=ALPHA / 3)
    given = trial(table, stop={"rounds": 15})
    together = SharedClock(given, sizes).run_all()
    for step_size, outcome in zip(sizes, together, strict=True):
        alone = Simulation(trial(table | {"step_size": step_size}, stop={"rounds": 15})).run()
        assert outcome.rows == alone.rows


def test_it_asks_for_its_step_at_every_local_step(table):
    asked = set()

    class Asked(StepSize):
        alpha: float

        def at(self, step, time_s):
            asked.add(int(step))
            return self.alpha, 1.0

    run = simulate(trial(table | {"step_size": Asked(alpha=ALPHA)}, stop={"rounds": 12}))
    assert run.outcome.stopped_by == "rounds"
    # The slowest worker may be far behind the mean, the fastest ahead of it.
    assert asked >= set(range(min(w.steps for w in run.simulation.workers) or 1))
    assert max(asked) >= 11


def test_its_table_gives_it_back(table):
    algorithm = Algorithm.parse(table)
    assert Algorithm.parse(algorithm.table()) == algorithm
