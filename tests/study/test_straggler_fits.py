"""`measuring.fitting.fit` finds the law that step times were drawn from, and its parameters."""

from math import inf, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from builders import label
from law_checks import (
    N,
    Numbers,
    check_choice,
    check_density,
    check_fit,
    check_maximum,
    densities,
)
from law_checks import drawn as drawn_from
from scipy import stats

from desim.clock.stragglers.base import Fittable, StragglerModel
from desim.clock.stragglers.mixture import Mixture
from desim.measuring.fitting import Fit, FittedLaw, fit, known_laws
from desim.measuring.step_times import intraclass_correlation

#: A value at the end of a law's support is missed by an exponential time of this many of its
#: means with a probability of e^-12.
FAR = 12.0

#: Standard errors: 1 in 16,000 such values is further away.
ERRORS = 4.0


def drawn(table: dict[str, Any], count: int = N) -> Numbers:
    """Seconds per sample as the simulator draws them."""
    return drawn_from(StragglerModel.parse(table), count)


def fitted(tmp_path: Path, x: Numbers, **columns: Any) -> Fit:
    file = tmp_path / "trace.parquet"
    pd.DataFrame({"seconds": x, **columns}).to_parquet(file)
    return fit(file)


def law(found: Fit, kind: str) -> FittedLaw:
    return next(law for law in found.laws if law.kind == kind)


#: The law, and how far each parameter may be off: below and above.
ENDS = {  # the smallest or largest of N lies inside the support, never outside
    "shift": (0, FAR * 0.01 / N),
    "minimum": (0, FAR * 0.02 / (2.5 * N)),
    "low": (0, FAR * 80 / N),
    "high": (-FAR * 80 / N, 0),
}
CASES = [
    ({"kind": "exponential", "mean": 0.03}, {"mean": 0.03 / sqrt(N)}),
    ({"kind": "shifted-exponential", "shift": 0.02, "mean": 0.01}, {"mean": 0.01 / sqrt(N)}),
    (
        {"kind": "lognormal", "sigma": 0.4, "mu": -3.5},
        {"sigma": 0.4 / sqrt(2 * N), "mu": 0.4 / sqrt(N)},
    ),
    ({"kind": "pareto", "index": 2.5, "minimum": 0.02}, {"index": 2.5 / sqrt(N)}),
    ({"kind": "uniform-speed", "low": 10.0, "high": 90.0}, {}),
]


every_density = pytest.mark.parametrize("truth", densities(), ids=label)


def test_every_law_that_can_be_fitted_has_an_example_with_a_density() -> None:
    assert {type(model) for model in densities()} == set(known_laws())


@every_density
def test_the_fit_to_a_laws_draws_is_the_law(truth: Fittable) -> None:
    check_fit(truth)


@every_density
def test_the_law_that_was_drawn_from_is_chosen(truth: Fittable, tmp_path: Path) -> None:
    check_choice(truth, fitted(tmp_path, drawn_from(truth)))


@pytest.mark.parametrize("cls", known_laws(), ids=lambda cls: cls.kind)
def test_a_law_fitted_to_what_is_another_has_the_largest_likelihood_too(
    cls: type[Fittable],
) -> None:
    x = drawn({"kind": "lognormal", "sigma": 0.3, "mu": -2.0}, 400)
    check_maximum(cls.fitted(x), x)
    check_density(cls.fitted(x))


@pytest.mark.parametrize(("table", "errors"), CASES, ids=[table["kind"] for table, _ in CASES])
def test_parameters_are_within_the_closed_forms_standard_errors(
    tmp_path: Path, table: dict[str, Any], errors: dict[str, float]
) -> None:
    best = fitted(tmp_path, drawn(table)).best
    assert best.kind == table["kind"]
    assert best.parameters == len(table) - 1
    for name, value in table.items():
        off = getattr(best.model, name) - value if name != "kind" else 0.0
        if name in errors:
            assert abs(off) <= ERRORS * errors[name], name
        elif name in ENDS:
            assert ENDS[name][0] <= off <= ENDS[name][1], name
    assert best.ks < 1.63 / sqrt(N)  # Kolmogorov's 1 %; smaller still with fitted parameters


def test_two_modes_are_found_with_their_shares(tmp_path: Path) -> None:
    models = [
        {"kind": "lognormal", "sigma": 0.1, "mu": -4.0},
        {"kind": "lognormal", "sigma": 0.2, "mu": -2.0},
    ]
    x = drawn({"kind": "mixture", "models": models, "weights": [0.85, 0.15]})
    best = fitted(tmp_path, x).best
    assert (best.kind, best.parameters) == ("mixture", 5)
    # Far apart, so that each step tells its mode.
    assert best.model.shares()[1] == pytest.approx(0.15, abs=ERRORS * sqrt(0.85 * 0.15 / N))
    for model, true, share in zip(best.model.models, models, (0.85, 0.15), strict=True):
        sigma, steps = true["sigma"], share * N
        assert model.mu == pytest.approx(true["mu"], abs=ERRORS * sigma / sqrt(steps))
        assert model.sigma == pytest.approx(sigma, abs=ERRORS * sigma / sqrt(2 * steps))


def test_em_ends_at_a_maximum_and_not_below_a_single_lognormal() -> None:
    x = drawn({"kind": "lognormal", "sigma": 0.5, "mu": 0.0}, 500)
    mixed = Mixture.fitted(x).log_density(x).sum()
    assert mixed >= stats.lognorm(np.log(x).std(), scale=np.exp(np.log(x).mean())).logpdf(x).sum()


def test_equal_readings_of_a_coarse_clock_give_a_finite_likelihood(tmp_path: Path) -> None:
    x = np.repeat([0.01, 0.02, 0.03], [60, 30, 10])
    for found in fitted(tmp_path, x).laws:
        assert np.isfinite(found.log_likelihood), found.kind
        assert 0 <= found.ks <= 1


def scipys(table: dict[str, Any]) -> Any:
    """The law as scipy has it."""
    match table["kind"]:
        case "exponential":
            return stats.expon(scale=table["mean"])
        case "shifted-exponential":
            return stats.expon(loc=table["shift"], scale=table["mean"])
        case "lognormal":
            return stats.lognorm(table["sigma"], scale=np.exp(table["mu"]))
        case "pareto":
            return stats.pareto(table["index"], scale=table["minimum"])
    # Nothing in scipy is 1/V; a little wider, so that the ends lie inside in spite of rounding.
    low, high = table["low"] * (1 - 1e-12), table["high"] * (1 + 1e-12)
    return stats.truncpareto(1.0, high / low, scale=1 / high)


@pytest.mark.parametrize("kind", [table["kind"] for table, _ in CASES])
def test_likelihood_and_distance_are_scipys(tmp_path: Path, kind: str) -> None:
    x = drawn({"kind": "lognormal", "sigma": 0.4, "mu": -3.5}, 1000)
    found = law(fitted(tmp_path, x), kind)
    reference = scipys(found.model.table())
    assert found.log_likelihood == pytest.approx(reference.logpdf(x).sum(), rel=1e-9)
    assert found.aic == pytest.approx(2 * found.parameters - 2 * found.log_likelihood)
    ends = set(ENDS) & set(found.model.table())
    assert set(found.model.ends) == ends
    charged = (found.parameters + len(ends)) * np.log(1000)
    assert found.bic == pytest.approx(charged - 2 * found.log_likelihood)
    test = stats.kstest(x, reference.cdf)
    assert (found.ks, found.ks_p) == pytest.approx((test.statistic, test.pvalue), rel=1e-6)


def test_the_mixtures_likelihood_is_that_of_its_parts(tmp_path: Path) -> None:
    x = drawn({"kind": "pareto", "index": 2.0, "minimum": 0.1}, 1000)
    found = law(fitted(tmp_path, x), "mixture")
    parts = [scipys(model.table()) for model in found.model.models]
    shares = found.model.shares()
    density = sum(share * part.pdf(x) for share, part in zip(shares, parts, strict=True))
    assert found.log_likelihood == pytest.approx(np.log(density).sum(), rel=1e-9)

    def cdf(x: Numbers) -> Numbers:
        return sum(share * part.cdf(x) for share, part in zip(shares, parts, strict=True))

    assert found.ks == pytest.approx(stats.kstest(x, cdf).statistic, rel=1e-6)
    assert found.mean == found.model.mean_slowdown()


def test_a_heavy_tail_may_have_no_mean(tmp_path: Path) -> None:
    x = drawn({"kind": "pareto", "index": 0.8, "minimum": 1.0}, 2000)
    best = fitted(tmp_path, x).best
    assert (best.kind, best.mean) == ("pareto", inf)


def test_a_law_that_its_model_refuses_is_left_out(tmp_path: Path) -> None:
    x = np.append(drawn({"kind": "exponential", "mean": 1.0}, 50), 1e-9)
    kinds = {law.kind for law in fitted(tmp_path, x).laws}
    assert "pareto" not in kinds  # an index of 0.05
    assert len(kinds) == len(known_laws()) - 1


def test_time_per_sample_is_what_is_fitted(tmp_path: Path) -> None:
    x = drawn({"kind": "lognormal", "sigma": 0.4, "mu": -3.5}, 500)
    batch = np.arange(500) % 7 + 1
    with_column = fitted(tmp_path, x * batch, batch=batch)
    np.testing.assert_allclose(with_column.measured.slowdowns, x, rtol=1e-12)
    (tmp_path / "all.csv").write_text(
        "seconds\n" + "\n".join(map(repr, (20 * x).tolist())) + "\n", encoding="utf-8"
    )
    for_all = fit(tmp_path / "all.csv", batch=20)
    assert for_all.best.log_likelihood == pytest.approx(with_column.best.log_likelihood)


def test_the_share_between_workers_is_that_of_the_f_statistic() -> None:
    random = np.random.default_rng(3)
    workers = np.repeat(np.arange(30), 20)
    values = random.normal(size=30)[workers] + random.normal(size=600)
    f = stats.f_oneway(*np.split(values, 30)).statistic
    share = intraclass_correlation(values, workers)
    assert share == pytest.approx((f - 1) / (f - 1 + 20))
    # Fisher 1925: the standard error of an intraclass correlation r of k groups of m.
    error = sqrt(2 / (20 * 19 * 29)) * (1 - 0.5) * (1 + 19 * 0.5)
    assert share == pytest.approx(0.5, abs=ERRORS * error)
    shuffled = random.permutation(600)
    assert intraclass_correlation(values[shuffled], workers[shuffled]) == pytest.approx(share)


@pytest.mark.parametrize("groups", [[], [0, 0, 0, 0], [0, 1, 2, 3]])
def test_the_share_between_workers_needs_two_of_several_steps(groups: list[int]) -> None:
    assert intraclass_correlation(np.arange(4.0), np.array(groups, np.int64)) is None


def test_workers_of_unequal_speed_are_told_from_uneven_steps(tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    worker = np.repeat(np.arange(200), 20)
    steady = np.exp(random.normal(-3, 0.5, 200))[worker] * np.exp(random.normal(0, 0.1, 4000))
    found = fitted(tmp_path, steady, worker=worker)
    assert found.between_workers == pytest.approx(0.25 / 0.26, abs=0.01)
    # A draw per worker: the law of 200 of them, not of 4,000 steps.
    assert found.persistent is not None
    assert found.persistent.kind == "lognormal"
    assert found.persistent.model.sigma == pytest.approx(0.5, abs=ERRORS * 0.5 / sqrt(400))
    uneven = fitted(tmp_path, random.permutation(steady), worker=worker)
    assert uneven.persistent is None
    assert uneven.between_workers < 0.05


def test_few_workers_of_unequal_speed_have_the_law_of_their_steps(tmp_path: Path) -> None:
    noise = np.exp(np.random.default_rng(4).normal(0, 0.1, 100))
    worker = np.arange(100) % 2
    found = fitted(tmp_path, noise * (1 + worker), worker=worker)
    assert found.persistent == found.best
