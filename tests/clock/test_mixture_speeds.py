"""A mixture: which model a gradient or a worker follows, and what comes of it."""

from math import floor, inf

import numpy as np
import pytest
import tomli_w
from builders import setting, simulate
from clusters import cluster_of, complaint, scenario_table
from scipy import stats

import desim
from desim.clock.stragglers.base import StragglerModel
from desim.clock.stragglers.markov import Markov
from desim.clock.stragglers.mixture import Mixture
from desim.streams import Streams


def always(speed):
    return {"kind": "uniform-speed", "low": speed, "high": speed}


def mixture(models, weights, **fields):
    return Mixture(models=models, weights=weights, **fields)


def speeds(model, workers, steps, seed=0):
    lives = [model.speed(Streams(seed), i) for i in range(workers)]
    return np.array([[life.work_s(k, float(k), 1.0) for k in range(steps)] for life in lives])


def shares(values, of):
    return [float(np.mean(values == one)) for one in of]


def test_each_gradient_follows_a_model_drawn_by_weight():
    drawn = speeds(mixture([always(1.0), always(2.0), always(4.0)], [1.0, 2.0, 5.0]), 60, 500)
    counts = [(drawn == speed).sum() for speed in (1.0, 2.0, 4.0)]
    assert sum(counts) == drawn.size
    expected = np.array([1, 2, 5]) / 8 * drawn.size
    assert stats.chisquare(counts, expected).pvalue > 1e-3
    # Anew at every step: neighbouring steps and neighbouring workers have nothing to do with each
    # other; uncorrelated numbers have a correlation of 1 / sqrt(n) in standard deviation.
    for one, other in ((drawn[1:], drawn[:-1]), (drawn[:, 1:], drawn[:, :-1])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4 / one.size**0.5


def test_each_worker_follows_one_model_where_persistent():
    model = mixture([always(1.0), always(2.0)], [3.0, 1.0], persistent=True)
    drawn = speeds(model, 4000, 3)
    assert (drawn == drawn[:, :1]).all()
    error = 5 * (0.75 * 0.25 / 4000) ** 0.5
    assert shares(drawn[:, 0], (1.0, 2.0)) == pytest.approx([0.75, 0.25], abs=error)


def test_only_the_weights_ratio_matters():
    models = [always(1.0), always(2.0)]
    one, other = (mixture(models, weights) for weights in ([1.0, 3.0], [20.0, 60.0]))
    np.testing.assert_array_equal(speeds(one, 5, 200), speeds(other, 5, 200))
    assert one.shares() == other.shares() == [0.25, 0.75]


def test_which_model_is_followed_says_nothing_about_its_draw():
    wide = [{"kind": "uniform-speed", "low": low, "high": low + 1} for low in (1.0, 3.0)]
    drawn = speeds(mixture(wide, [1.0, 1.0]), 50, 400)
    # Each model's draws are still uniform: Kolmogorov-Smirnov.
    for low in (1.0, 3.0):
        own = drawn[(drawn > low) & (drawn < low + 1)]
        assert stats.kstest(own - low, "uniform").pvalue > 1e-3
    # And they are those that it has alone.
    alone = [speeds(StragglerModel.parse(table), 50, 400) for table in wide]
    np.testing.assert_array_equal(drawn, np.where(drawn < 2.5, *alone))


def test_a_persistent_law_within_a_mixture_keeps_its_draw():
    slow = {"kind": "lognormal", "persistent": True, "mu": 5.0}
    drawn = speeds(mixture(["none", slow], [1.0, 1.0]), 8, 300)
    slow_speeds = [set(row[row < 1].tolist()) for row in drawn]
    assert all(len(own) == 1 for own in slow_speeds)
    assert len(set.union(*slow_speeds)) == 8


@pytest.mark.parametrize("persistent", [False, True])
def test_means_are_those_of_the_models_by_weight(persistent):
    model = mixture(
        [always(2.0), {"kind": "bimodal", "slow_fraction": 0.5, "factor": 4.0}],
        [3.0, 1.0],
        persistent=persistent,
    )
    assert model.mean_speed() == pytest.approx(0.75 * 2 + 0.25 * (0.5 + 0.5 / 4))
    assert model.mean_slowdown() == pytest.approx(0.75 / 2 + 0.25 * (0.5 + 0.5 * 4))
    assert model.mean_speed_of(7) == model.mean_speed()
    by_worker = speeds(model, 400, 50).mean(1)
    error = 5 * by_worker.std() / 400**0.5
    assert by_worker.mean() == pytest.approx(model.mean_speed(), abs=error)


def test_a_mean_that_is_infinite_stays_so():
    assert mixture(["none", "exponential"], [1.0, 1e-3]).mean_speed() == inf
    heavy = {"kind": "pareto", "index": 1.0}
    assert mixture(["none", heavy], [1.0, 1e-3]).mean_slowdown() == inf


def test_a_worker_follows_markovs_own_path_or_none():
    markov = Markov(slow_fraction=0.5, mean_slow_s=1.0, factor=10.0)
    model = mixture(["none", markov], [0.5, 0.5], persistent=True)
    mixed, own = speeds(model, 60, 100), speeds(markov, 60, 100)
    follows = (mixed == own).all(1)
    assert (mixed[~follows] == 1).all()
    assert 15 < follows.sum() < 45  # 30 with a standard deviation of 4


def test_a_gradient_may_follow_markov_at_its_own_time():
    # Batches by a deadline of 0.5 s at 1,000 samples/s: all 500, or what Markov's path makes of the
    # same half second.
    markov = Markov(slow_fraction=0.4285714285714286, mean_slow_s=0.3, factor=4.0)
    trial = simulate(
        setting(
            {"kind": "quantimed-dsgd", "deadline_s": 0.5},
            stragglers=mixture(["none", markov], [1.0, 1.0]),
            hardware={"speed_sps": 1000.0},
            stop={"rounds": 200},
            seed=2,
        )
    )
    kept = []
    for worker in range(3):
        path, rows = markov.speed(Streams(2), worker), trial.rows("compute", worker)
        own = [
            floor(1000 * path.work_s(0, row.start_s, row.end_s - row.start_s) * (1 + 1e-12))
            for row in rows.itertuples()
        ]
        found = rows.samples.to_numpy()
        assert ((found == 500) | (found == own)).all()
        cut = np.array(own) < 500
        kept.extend(found[cut] == 500)
    # Half of the steps in which Markov would be slow follow "none".
    assert len(kept) > 300
    assert np.mean(kept) == pytest.approx(0.5, abs=5 * 0.5 / len(kept) ** 0.5)


def test_a_mixture_is_stored_and_read_back():
    table = {
        "kind": "mixture",
        "models": ["none", {"kind": "pareto", "index": 2.5}],
        "weights": [3, 1.0],
    }
    scenario = desim.from_table(scenario_table(workers=4, stragglers=table))
    stored = scenario.table()["cluster"]["stragglers"]
    assert stored == {
        "kind": "mixture",
        "models": [
            {"kind": "none"},
            {"kind": "pareto", "persistent": False, "index": 2.5, "minimum": 1.0},
        ],
        "weights": [3.0, 1.0],
        "persistent": False,
    }
    assert "mixture" in tomli_w.dumps(scenario.table())
    assert desim.from_table(scenario.table()) == scenario
    of_one_kind = {"speed_sps": 3.0, "stragglers": table}
    assert (
        cluster_of(workers=4, hardware=of_one_kind).table()["hardware"][0]["stragglers"] == stored
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"models": ["none"], "weights": [1.0]}, "models = ['none']: must have at least 2 items"),
        ({"models": "none", "weights": [1.0]}, "models = 'none': must be a list"),
        (
            {"models": ["none", "none"], "weights": [1.0]},
            "weights = [1.0]: must be one for each of 2 models",
        ),
        (
            {"models": ["none", "none"], "weights": [1, 0.0]},
            "weights.1 = 0.0: must be greater than 0",
        ),
        (
            {"models": ["none", "none"], "weights": [-1, 2]},
            "weights.0 = -1: must be greater than 0",
        ),
        (
            {"models": ["none", "none"], "weights": [1, inf]},
            "weights.1 = inf: must be a finite number",
        ),
        (
            {"models": ["none", "noen"], "weights": [1, 1]},
            "models.1.kind = 'noen': no such kind; did you mean 'none'?",
        ),
        (
            {"models": ["none", {"kind": "pareto", "index": -1}], "weights": [1, 1]},
            "models.1.index = -1: must be greater than or equal to 0.1",
        ),
        (
            {"models": ["none", {"kind": "uniform-speed", "low": 3, "high": 1}], "weights": [1, 1]},
            "models.1.high = 1: must be at least low = 3",
        ),
        (
            {
                "models": ["none", {"kind": "mixture", "models": ["none"] * 2, "weights": [1, 1]}],
                "weights": [1, 1],
            },
            "models.1.kind = 'mixture': must be none itself; list all models in one",
        ),
        (
            {"models": ["none", {"kind": "trace", "file": "/nowhere.csv"}], "weights": [1, 1]},
            "models.1.file = '/nowhere.csv': can't be read ([Errno 2] No such file or directory: "
            "'/nowhere.csv')",
        ),
        ({"models": ["none", "none"]}, "weights: is missing"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_bad_mixture_is_one_clear_line(fields, said):
    line = complaint(workers=4, stragglers={"kind": "mixture", **fields})
    assert line == f"cluster.stragglers.{said}"
