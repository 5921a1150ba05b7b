"""`evaluate.iterate = "average"` looks at (1/t) sum of the models after steps 1 to t."""

import numpy as np
import pytest
from builders import problem, setting

from desim.engine.simulation import Simulation
from desim.step_sizes.constant import Constant
from desim.tuning.shared_clock import SharedClock

ROUNDS = 12
PROBLEM = problem(samples=60, parameters=5, samples_per_worker=10, dtype="float64")
STEP = {"kind": "constant", "alpha": 0.2, "epsilon": 0.8}
METHODS = {
    "dsgd": {"kind": "dsgd", "batch": 4},
    "async": {"kind": "async-dsgd", "batch": 4},
}


def run(method, iterate, rounds=ROUNDS, **options):
    evaluate = {"every_rounds": 1, "iterate": iterate}
    given = setting(
        method | {"step_size": STEP},
        workers=6,
        problem=PROBLEM,
        stragglers={"kind": "uniform-speed", "low": 1.0, "high": 9.0},
        stop={"rounds": rounds},
        evaluate=evaluate,
    )
    simulation = Simulation(given, **options)
    return simulation, simulation.run()


def rows_of(simulation, refs):
    nodes = [simulation.tape.record(ref, k) for k, ref in enumerate(refs)]
    simulation.tape.flush()
    return simulation.tape.kernels.store.data[[node.row for node in nodes]].numpy().copy()


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_each_worker_averages_its_own_models(method):
    simulation, _ = run(method, "average")
    history = [[] for _ in simulation.workers]
    again = Simulation(simulation._setting)
    for worker in again.workers:
        commit = worker.commit

        def keep(model, worker=worker, commit=commit):
            commit(model)
            history[worker.id].append(worker.model)

        worker.commit = keep
    again.run()
    means = [rows_of(again, models).mean(0) for models in history]
    found = rows_of(simulation, [worker.evaluated for worker in simulation.workers])
    np.testing.assert_allclose(found, means, rtol=0, atol=1e-13)


def test_the_models_themselves_do_not_change():
    found = [run(METHODS["dsgd"], iterate)[0] for iterate in ("last", "average")]
    np.testing.assert_array_equal(*(rows_of(s, [w.model for w in s.workers]) for s in found))


def test_batched_equals_one_by_one():
    batched = run(METHODS["async"], "average")[1]
    alone = run(METHODS["async"], "average", one_by_one=True)[1]
    losses = [[row["train_loss"] for row in outcome.rows] for outcome in (batched, alone)]
    np.testing.assert_allclose(*losses, rtol=1e-12)


def test_candidates_of_a_search_have_averages_of_their_own():
    simulation, outcome = run(METHODS["dsgd"], "average")
    steps = [
        Constant(alpha=0.1, epsilon=0.8),
        Constant(**{k: STEP[k] for k in ("alpha", "epsilon")}),
    ]
    bundled = SharedClock(simulation._setting, steps).run_all()[1]
    assert [row.values for row in bundled.rows] == [row.values for row in outcome.rows]
