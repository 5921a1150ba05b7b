"""Stragglers: what every model promises, and known answers of some."""

from math import exp, inf, isinf, log

import numpy as np
import pytest
from builders import examples, label, setting, simulate
from law_checks import check_density, check_draws, check_means, densities, has_density, moment
from scipy import stats

from desim.clock.stragglers.base import Law, PerStep, SpeedPerStep
from desim.clock.stragglers.bimodal import Bimodal
from desim.clock.stragglers.exponential import Exponential
from desim.clock.stragglers.lognormal import LogNormal
from desim.clock.stragglers.pareto import Pareto
from desim.clock.stragglers.shifted_exponential import ShiftedExponential
from desim.clock.stragglers.uniform_speed import UniformSpeed
from desim.streams import Streams

MODELS = examples("stragglers")
LAWS = [model for model in MODELS if isinstance(model, Law)]

#: So long is a step looked at; of a speed that changes in time, neighbouring steps are then nearly
#: independent (Markov's default forgets within 9 s).
STEP_S = 50.0

every_model = pytest.mark.parametrize("model", MODELS, ids=label)
every_law = pytest.mark.parametrize("law", LAWS, ids=label)
every_density = pytest.mark.parametrize("law", densities(), ids=label)


def speeds(model, workers=40, steps=500, seed=0):
    """The mean speed over each of so many steps of STEP_S, (workers, steps)."""
    lives = [model.speed(Streams(seed), i) for i in range(workers)]
    done_s = [[life.work_s(k, k * STEP_S, STEP_S) for k in range(steps)] for life in lives]
    return np.array(done_s) / STEP_S


def slowdowns(model, workers=40, steps=500, work_s=STEP_S):
    """The durations of gradients one after another, over what they take at speed 1."""
    rows = []
    for i in range(workers):
        life, now_s, taken_s = model.speed(Streams(0), i), 0.0, []
        for step in range(steps):
            taken_s.append(life.duration_s(step, now_s, work_s))
            now_s += taken_s[-1]
        rows.append(taken_s)
    return np.array(rows) / work_s


def assert_mean(draws, expected):
    # Over workers and steps; steps of a worker may depend on each other, workers don't: 5 standard
    # errors of the mean over workers, and rounding.
    means = draws.mean(1)
    error = 5 * means.std(ddof=1) / len(means) ** 0.5 + 1e-12 * expected
    assert means.mean() == pytest.approx(expected, abs=error)


@every_model
def test_speeds_are_positive_with_the_stated_mean(model):
    draws = speeds(model)
    assert np.isfinite(draws).all()
    assert (draws > 0).all()
    if not isinf(model.mean_speed()):
        assert_mean(draws, model.mean_speed())
    assert model.mean_speed_of(3) == model.mean_speed()


@every_model
def test_gradients_one_after_another_take_the_stated_mean(model):
    if has_density(model) and isinf(moment(model, 2)):
        # A mean of draws says little without a variance; the density's integral is below.
        assert model.mean_slowdown() > 1 / model.mean_speed()
    else:
        assert_mean(slowdowns(model), model.mean_slowdown())


@pytest.mark.parametrize("law", dict.fromkeys([*LAWS, *densities()]), ids=label)
def test_draws_follow_the_distribution_function(law):
    check_draws(law)


@every_density
def test_the_density_is_that_of_the_distribution_function(law):
    check_density(law)


@every_density
def test_means_are_integrals_of_the_density(law):
    check_means(law)


@every_model
def test_work_and_duration_are_inverse_to_each_other(model):
    there, back = (model.speed(Streams(1), 2) for _ in range(2))
    now_s = 0.0
    for step in range(300):
        work_s = there.work_s(step, now_s, 7.0)
        assert back.duration_s(step, now_s, work_s) == pytest.approx(7.0, rel=1e-9)
        now_s += 7.0


@every_model
def test_the_same_seed_gives_the_same_speeds_and_every_other_name_others(model):
    draws = speeds(model, 20, 200)
    np.testing.assert_array_equal(speeds(model, 20, 200), draws)
    if len(np.unique(draws)) == 1:  # no stragglers, then
        return
    assert (speeds(model, 20, 200, seed=1) != draws).any()
    different = len(np.unique(draws, axis=0))
    # One draw for each worker may be the same for two of them.
    assert different > 1 if getattr(model, "persistent", False) else different == 20


@pytest.mark.parametrize("model", [m for m in MODELS if isinstance(m, PerStep)], ids=label)
def test_a_step_has_the_same_speed_however_it_is_asked_for(model):
    together = model.speeds(Streams(4), 3, np.arange(200))
    alone = SpeedPerStep(model, Streams(4), 3)
    assert [alone.at(k) for k in range(200)] == together.tolist()
    backwards = SpeedPerStep(model, Streams(4), 3)
    places = [130, 128, 127, 5, 64, 63, 0, 199]
    assert [backwards.at(k) for k in places] == together[places].tolist()
    assert np.concatenate([model.speeds(Streams(4), 3, [k]) for k in places]).tolist() == [
        together[k] for k in places
    ]


@every_model
def test_what_is_done_adds_up_however_it_is_asked_for(model):
    whole, parts = (model.speed(Streams(4), 3) for _ in range(2))
    for step in range(150):
        start_s = step * STEP_S
        cuts_s = np.linspace(start_s, start_s + STEP_S, 4)
        done_s = [parts.work_s(step, *cut) for cut in zip(cuts_s, np.diff(cuts_s), strict=False)]
        assert sum(done_s) == pytest.approx(whole.work_s(step, start_s, STEP_S), rel=1e-12)


@every_law
def test_a_persistent_law_draws_once_per_worker(law):
    once = law.model_copy(update={"persistent": True})
    draws = np.stack([once.speeds(Streams(6), i, np.arange(300)) for i in range(2000)])
    assert (draws == draws[:, :1]).all()
    # Over workers they follow the law itself: Kolmogorov-Smirnov against draws over steps.
    anew = law.model_copy(update={"persistent": False}).speeds(Streams(7), 0, np.arange(20_000))
    assert stats.ks_2samp(draws[:, 0], anew).pvalue > 1e-3
    assert once.mean_speed() == law.mean_speed()
    assert once.mean_slowdown() == law.mean_slowdown()


@every_model
def test_workers_are_independent(model):
    # Ranks of neighbouring workers at the same step; uncorrelated ones have a correlation of
    # 1 / sqrt(n) in standard deviation. Persistent speeds count once per worker.
    persistent = getattr(model, "persistent", False)
    draws = speeds(model, 4000, 1) if persistent else speeds(model, 40, 500)
    if len(np.unique(draws)) == 1:
        return
    ranks = stats.rankdata(draws).reshape(draws.shape)
    one, other = ranks[:-1].ravel(), ranks[1:].ravel()
    assert abs(np.corrcoef(one, other)[0, 1]) < 4 / len(one) ** 0.5


# Each law, and scipy's distribution of 1/V.
TIMES = [
    (Exponential(), stats.expon()),
    (Exponential(mean=0.3), stats.expon(scale=0.3)),
    (ShiftedExponential(), stats.expon(loc=1.0)),
    (ShiftedExponential(shift=0.02, mean=0.005), stats.expon(loc=0.02, scale=0.005)),
    (ShiftedExponential(shift=0.1, mean=3.0), stats.expon(loc=0.1, scale=3.0)),
    (LogNormal(), stats.lognorm(0.6)),
    (LogNormal(sigma=1.2, mu=-3.0), stats.lognorm(1.2, scale=exp(-3.0))),
    (Pareto(), stats.pareto(2.0)),
    (Pareto(index=1.26, minimum=0.2), stats.pareto(1.26, scale=0.2)),
    (Pareto(index=3.5, minimum=0.4), stats.pareto(3.5, scale=0.4)),
]
#: And those whose speed scipy has.
SPEEDS = [
    (UniformSpeed(low=10.0, high=90.0), stats.uniform(10.0, 80.0)),
    (UniformSpeed(low=0.999, high=1.001), stats.uniform(0.999, 0.002)),
]
BOTH = [
    *(pytest.param(law, times, True, id=label(law)) for law, times in TIMES),
    *(pytest.param(law, speed, False, id=label(law)) for law, speed in SPEEDS),
]
scipys = pytest.mark.parametrize(("law", "known", "is_time"), BOTH)


@scipys
def test_quantiles_are_scipys(law, known, is_time):
    u = np.array([1e-6, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999])
    found = law.speed_at(u)
    np.testing.assert_allclose(1 / found if is_time else found, known.ppf(u), rtol=1e-12)


@scipys
def test_density_and_distribution_function_are_scipys(law, known, is_time):
    outside = [0.1 * known.ppf(0), 10 * known.ppf(1)] if known.ppf(0) > 0 else []
    x = np.array([*known.ppf(np.linspace(0.01, 0.99, 99)), *outside])
    x = x[np.isfinite(x)]
    if is_time:
        np.testing.assert_allclose(law.cdf(x), known.cdf(x), rtol=1e-12)
        np.testing.assert_allclose(law.log_density(x), known.logpdf(x), rtol=1e-10, atol=1e-12)
    else:  # of V, and dV = dx / x^2
        np.testing.assert_allclose(law.cdf(1 / x), known.sf(x), rtol=1e-10)
        found = law.log_density(1 / x) - 2 * np.log(x)
        np.testing.assert_allclose(found, known.logpdf(x), rtol=1e-10, atol=1e-12)


def test_means_that_are_infinite():
    assert isinf(Exponential().mean_speed())
    assert isinf(Pareto(index=1.0).mean_slowdown())
    assert isinf(Pareto(index=0.5).mean_slowdown())
    assert Pareto(index=0.5, minimum=2.0).mean_speed() == pytest.approx(1 / 6)


@pytest.mark.parametrize("ratio", [1e-37, 1e-9, 1e-3, 1.0, 10.0, 100.0, 1e4, 1e9])
def test_the_mean_speed_of_shifted_exponential_times_at_any_ratio(ratio):
    # e^z E1(z) lies between ln(1 + 2/z) / 2 and ln(1 + 1/z) (Abramowitz, Stegun 1964, 5.1.20).
    mean = ShiftedExponential(shift=ratio, mean=1.0).mean_speed()
    assert np.log1p(2 / ratio) / 2 * (1 - 1e-10) <= mean <= np.log1p(1 / ratio) * (1 + 1e-10)


@pytest.mark.parametrize("width", [0.0, 1e-15, 1e-12, 1e-9, 1e-6, 1e-3])
def test_the_mean_slowdown_of_nearly_equal_speeds(width):
    # ln(1 + w) / w = 1 - w / 2 + w^2 / 3 - ...
    law = UniformSpeed(low=1.0, high=1.0 + width)
    width = law.high - law.low
    series = 1 - width / 2 + width**2 / 3 - width**3 / 4
    assert law.mean_slowdown() == pytest.approx(series, rel=1e-12)


def test_equal_ends_of_a_uniform_speed_are_one_value():
    law, x = UniformSpeed(low=0.5, high=0.5), np.array([1.0, 2.0, 3.0])
    assert law.cdf(x).tolist() == [0, 1, 1]
    assert law.log_density(x).tolist() == [-inf, inf, -inf]


def test_bimodal_speeds_are_slow_in_the_stated_share_of_steps():
    law = Bimodal(slow_fraction=0.3, factor=5.0)
    assert law.speed_at(np.array([0.0, 0.2999, 0.3, 0.9])).tolist() == [0.2, 0.2, 1.0, 1.0]
    draws = np.concatenate([law.speeds(Streams(2), i, np.arange(1000)) for i in range(100)])
    assert set(draws) == {0.2, 1.0}
    assert law.cdf(np.array([0.9, 1.0, 4.9, 5.0])).tolist() == [0, 0.7, 0.7, 1]
    assert (draws == 0.2).mean() == pytest.approx(0.3, abs=5 * (0.3 * 0.7 / len(draws)) ** 0.5)
    assert law.mean_speed() == pytest.approx(0.7 + 0.3 / 5)
    assert law.mean_slowdown() == pytest.approx(0.7 + 0.3 * 5)


@pytest.mark.parametrize(
    "law",
    [Pareto(index=0.1), LogNormal(sigma=10.0, mu=100.0), LogNormal(sigma=10.0, mu=-100.0)],
    ids=label,
)
def test_the_most_extreme_laws_stay_within_what_doubles_hold(law):
    ends = law.speed_at(np.array([0.0, 2.0**-53, 0.5, 1 - 2.0**-53]))
    assert (ends > 0).all()
    assert np.isfinite(ends).all()
    assert np.isfinite(1 / ends).all()
    assert 0 < law.mean_speed() < np.inf
    assert law.mean_slowdown() > 0


def test_no_draw_takes_no_time():
    # u = 0 comes once in 2^53 draws.
    for law in LAWS:
        assert np.isfinite(law.speed_at(np.zeros(1))).all()


def test_uniform_speeds_have_the_papers_mean_inverse():
    # E[1/V] = ln(9)/80 = 0.027465; V's inverse has a standard deviation of 0.0189.
    law = UniformSpeed(low=10.0, high=90.0)
    assert law.mean_slowdown() == pytest.approx(log(9) / 80, rel=1e-12)
    draws = np.concatenate([law.speeds(Streams(2), i, np.arange(1000)) for i in range(100)])
    assert (1 / draws).mean() == pytest.approx(log(9) / 80, abs=5 * 0.0189 / 100_000**0.5)


@pytest.mark.parametrize(
    "random",
    [
        {"kind": "uniform-speed", "low": 10.0, "high": 90.0},
        {"kind": "bimodal", "persistent": True, "slow_fraction": 0.5, "factor": 2.0},
        {"kind": "mixture", "models": ["lognormal", "pareto"], "weights": [1.0, 1.0]},
    ],
    ids=lambda table: table["kind"],
)
def test_the_kth_gradient_of_a_worker_is_equally_slow_under_every_method(random):
    link = {"kind": "dedicated", "bandwidth_bps": 1000.0}
    found = []
    for method in (
        {"kind": "dsgd", "batch": 20},
        {"kind": "async-dsgd", "batch": 20},
        {"kind": "async-dsgd", "batch": 20, "sending": "overlapped"},
        {"kind": "quantimed-dsgd", "deadline_s": 100.0 if "low" in random else 1e6},
    ):
        trial = simulate(
            setting(method, workers=5, stragglers=random, link=link, stop={"rounds": 100}, seed=9)
        )
        rows = [trial.rows("compute", i).iloc[:40] for i in range(5)]
        found.append(np.array([r.samples / (r.end_s - r.start_s) for r in rows]))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-9)
    # Rounded down, out of at least 1,000 samples.
    np.testing.assert_allclose(found[3], found[0], rtol=1e-3)
    # Another seed is another cluster.
    other = simulate(setting({"kind": "dsgd", "batch": 20}, workers=5, stragglers=random, seed=10))
    times_s = [other.rows("compute", i).end_s.iloc[0] for i in range(5)]
    assert times_s != pytest.approx(20 / found[0][:, 0], rel=1e-3)
