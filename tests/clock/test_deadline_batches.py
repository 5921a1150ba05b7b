"""How many samples a worker gets through by a deadline."""

import numpy as np
import pytest
from builders import models, problem, setting, simulate, speeds

QUANTIMED = {"kind": "quantimed-dsgd"}


def batches(deadline_s, *rows, rounds=1):
    trial = simulate(
        setting(
            QUANTIMED | {"deadline_s": deadline_s},
            stragglers=speeds(*rows),
            stop={"rounds": rounds},
        )
    )
    return [trial.rows("compute", i).samples.tolist() for i in range(3)]


def test_a_batch_is_rounded_down():
    assert batches(1.0, 3.0, 3.5, 3.999) == [[3], [3], [3]]


@pytest.mark.parametrize(
    ("deadline_s", "speed", "expected"),
    [
        (0.57, 100.0, 57),  # 56.99999999999999 in binary
        (0.29, 100.0, 29),  # 28.999999999999996
        (1.1, 30.0, 33),  # 33.0
        (0.1, 3.0, 0),
        (0.57, 99.99, 56),
    ],
)
def test_a_product_that_is_whole_in_decimals_is_not_rounded_down(deadline_s, speed, expected):
    assert batches(deadline_s, speed, speed, speed) == [[expected]] * 3


def test_each_step_has_its_own_speed():
    assert batches(2.0, [1, 2, 3], [5], [0.25, 4], rounds=3) == [[2, 4, 6], [10] * 3, [0, 8, 0]]


def test_expected_batch_gives_the_deadline_from_the_mean_speed():
    compute = {"kind": "uniform-speed", "low": 10.0, "high": 90.0}
    trial = simulate(setting(QUANTIMED | {"expected_batch": 20.0}, stragglers=compute))
    np.testing.assert_allclose(trial.rows("compute").end_s - trial.rows("compute").start_s, 0.4)


def test_workers_without_a_sample_only_average():
    # Nobody gets through a sample: the models stay where they began, at 0.
    trial = simulate(
        setting(QUANTIMED | {"deadline_s": 0.5}, problem=problem(dtype="float64")), train=True
    )
    assert trial.outcome.rows[-1].samples == 0
    assert trial.rows("compute").samples.tolist() == [0] * 9
    assert (models(trial.simulation) == 0).all()


def test_a_worker_without_a_sample_takes_its_neighbours_models():
    # Only worker 0 computes. Each holds one sample, so its first gradient at x = 0 is -theta, and
    # after round 0 x_0 = alpha theta, x_1 = x_2 = 0. In round 1 worker 0 has x_0 (1/3 + ...) left:
    # with all weights 1/3 the others have x_0 / 3 each.
    one = problem(samples=3, samples_per_worker=1, dtype="float64")
    trial = simulate(
        setting(
            QUANTIMED | {"deadline_s": 1.0},
            stragglers=speeds([1, 0.5], 0.5, 0.5),
            stop={"rounds": 2},
            mixing="uniform",
            problem=one,
        ),
        train=True,
    )
    found = models(trial.simulation)
    theta = trial.simulation.tape.kernels._gradient._inputs[0].numpy()
    np.testing.assert_allclose(found, np.tile(0.1 * theta / 3, (3, 1)), atol=1e-15)
