"""A straggler law of one's own, one file: checked like the others, run, fitted and drawn."""

import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
import pytest
from law_checks import (
    check_choice,
    check_density,
    check_draws,
    check_fit,
    check_means,
    drawn,
)
from tiny import Call, write

from desim.clock.stragglers.base import Fittable
from desim.measuring.fitting import fit, law_named

SOURCE = '''
from math import gamma, inf, log
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.optimize import brentq

from desim import Topology
from desim.clock.stragglers.base import Fittable, Law
from desim.clock.stragglers.lognormal import LogNormal


class Weibull(Law, Fittable):
    """P(1/V > x) = exp(-(x / scale)^shape)."""

    shape: Annotated[float, Field(gt=0)] = 1.5
    scale: Annotated[float, Field(gt=0)] = 1.0

    def speed_at(self, u):
        return 1 / (self.scale * (-np.log1p(-np.maximum(u, 2.0**-54))) ** (1 / self.shape))

    def mean_speed(self):
        return gamma(1 - 1 / self.shape) / self.scale if self.shape > 1 else inf

    def mean_slowdown(self):
        return self.scale * gamma(1 + 1 / self.shape)

    @classmethod
    def fitted(cls, x):
        x, unit = x / x.max(), x.max()

        def slope(k):  # of the likelihood in k, at its best scale
            return (x**k * np.log(x)).sum() / (x**k).sum() - 1 / k - np.log(x).mean()

        shape = brentq(slope, 1e-3, 1e3)
        return cls(shape=shape, scale=float(unit * (x**shape).mean() ** (1 / shape)))

    def log_density(self, x):
        z = np.log(x / self.scale)
        return log(self.shape) + self.shape * z - np.log(x) - np.exp(self.shape * z)

    def cdf(self, x):
        return -np.expm1(-((x / self.scale) ** self.shape))


class Named(Weibull):
    """A kind of one's own says nothing to a scenario, which finds the class by its module."""

    kind = "weibull"


class OnlyDraws(Law):
    """Can't be fitted."""

    speed_at = cdf = mean_speed = mean_slowdown = lambda self: 1.0


class Unfinished(Law, Fittable):
    """Has no density yet."""

    speed_at = cdf = mean_speed = mean_slowdown = fitted = lambda self: 1.0


class NotANumber(LogNormal):
    def log_density(self, x):
        return np.where(x > np.median(x), np.nan, -1.0)


class Impossible(LogNormal):
    def log_density(self, x):
        return np.where(x > np.median(x), -inf, -1.0)


class Total(LogNormal):
    def log_density(self, x):
        return super().log_density(x).sum()


class Percent(LogNormal):
    def cdf(self, x):
        return 100 * super().cdf(x)


class Pair(LogNormal):
    @classmethod
    def fitted(cls, x):
        return float(np.log(x).mean()), float(np.log(x).std())


class Path(Topology):
    def draw(self, workers, random):
        return None
'''


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_laws", raising=False)
    Path("my_laws.py").write_text(SOURCE)


def weibull(shape: float, scale: float) -> Fittable:
    return law_named("my_laws:Weibull").model_validate({"shape": shape, "scale": scale})


def steps(law: Fittable, count: int) -> Path:
    """A file of draws."""
    file = Path("steps.parquet")
    pd.DataFrame({"seconds": drawn(law, count)}).to_parquet(file)
    return file


@pytest.mark.parametrize("shape", [0.8, 1.7, 4.0])
def test_it_is_checked_like_those_that_come_with_desim(shape: float) -> None:
    law = weibull(shape, 0.03)
    check_draws(law)
    check_density(law)
    check_means(law)
    check_fit(law)
    found = fit(steps(law, 20_000), laws=[type(law)])
    check_choice(law, found)
    assert found.best.kind == "my_laws:Weibull"


def test_an_exponential_law_is_not_taken_for_the_one_that_contains_it() -> None:
    exponential = weibull(1.0, 0.03)
    found = fit(steps(exponential, 20_000), laws=[type(exponential)])
    assert found.best.kind == "exponential"
    check_choice(exponential, found)


@pytest.mark.parametrize("wrong", ["scale", "shape"])
def test_the_checks_see_a_wrong_fit(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    law = weibull(1.7, 0.03)
    right = type(law).fitted

    def off(x: npt.NDArray[np.float64]) -> Fittable:
        return right(x).model_copy(update={wrong: 1.01 * getattr(right(x), wrong)})

    monkeypatch.setattr(type(law), "fitted", off)
    with pytest.raises(AssertionError):
        check_fit(law)


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("speed_at", check_draws),
        ("cdf", check_draws),
        ("cdf", check_density),
        ("log_density", check_density),
        ("mean_speed", check_means),
        ("mean_slowdown", check_means),
    ],
)
def test_the_checks_see_a_wrong_formula(
    name: str, check: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    law = weibull(1.7, 0.03)
    right = getattr(type(law), name)
    off = 1.03 if name != "log_density" else 0.97
    monkeypatch.setattr(type(law), name, lambda self, *arguments: off * right(self, *arguments))
    with pytest.raises(AssertionError):
        check(law)


def test_a_scenario_that_uses_it_runs_and_its_times_give_it_back(desim: Call) -> None:
    table = {"kind": "my_laws:Weibull", "shape": 2.5, "scale": 0.04}
    changes = {"cluster.stragglers": table, "stop.rounds": 500, "evaluate.every_rounds": 500}
    write(Path("tiny.toml"), changes)
    checked = desim("check", "tiny.toml", "--no-train")
    assert (checked.code, checked.err) == (0, "")
    # Gamma(1 - 1/2.5) / 0.04 samples/s.
    assert "E[V] = 37.2" in checked.out
    ran = desim("run", "tiny.toml", "--no-train", "--out", "results", "--jobs", 1)
    assert (ran.code, ran.err) == (0, "")

    timeline = pq.read_table("results/trials/DSGD-seed0/timeline.parquet").to_pandas()
    computing = timeline[timeline["kind"] == "compute"]
    seconds = computing["end_s"] - computing["start_s"]
    measured = pd.DataFrame({"seconds": seconds, "batch": computing["samples"]})
    assert len(measured) == 4 * 500
    measured.to_csv("steps.csv", index=False)

    fitted = desim("fit", "steps.csv", "--law", "my_laws:Weibull", "--out", "fit")
    assert (fitted.code, fitted.err) == (0, "")
    (line,) = re.findall(r"^stragglers = .*", fitted.out, re.M)
    found = tomllib.loads(line)["stragglers"]
    assert found["kind"] == table["kind"]
    # Of 2,000 steps: 4 asymptotic standard errors, 0.78 shape and 1.05 scale / shape over sqrt(n).
    assert found["shape"] == pytest.approx(2.5, abs=4 * 0.78 * 2.5 / 2000**0.5)
    assert found["scale"] == pytest.approx(0.04, abs=4 * 1.05 * 0.04 / 2.5 / 2000**0.5)
    curves = pq.read_table("fit/curves.parquet").to_pandas()
    assert curves["law"].iloc[0] == "my_laws:Weibull"
    assert Path("fit/fit.svg").is_file()

    # What is to be pasted is a scenario's table.
    write(Path("again.toml"), {"cluster.stragglers": found})
    assert desim("check", "again.toml", "--no-train").code == 0


def test_a_law_is_fitted_once_however_often_it_is_named(desim: Call) -> None:
    file = steps(weibull(2.5, 0.04), 500)
    laws = ["--law", "my_laws:Weibull", "--law", "lognormal", "--law", "my_laws:Weibull"]
    assert desim("fit", file, *laws, "--out", "fit").code == 0
    alone = desim("fit", file, "--out", "alone")
    assert alone.code == 0
    assert "Weibull" not in alone.out
    found, known = (pq.read_table(f"{name}/fit.parquet").to_pandas() for name in ("fit", "alone"))
    assert found["law"].is_unique
    assert set(found["law"]) == {*known["law"], "my_laws:Weibull"}
    # The others' places, and so their colours, are as they were.
    places = found.set_index("law")["place"]
    pd.testing.assert_series_equal(places[known["law"]], known.set_index("law")["place"])


def test_a_class_with_a_kind_of_its_own_is_named_by_its_module(desim: Call) -> None:
    file = steps(weibull(2.5, 0.04), 500)
    out = desim("fit", file, "--law", "my_laws:Named").out
    (line,) = re.findall(r"^stragglers = .*", out, re.M)
    assert tomllib.loads(line)["stragglers"]["kind"] == "my_laws:Named"


@pytest.mark.parametrize(
    ("law", "parts"),
    [
        ("weibull", ["--law = 'weibull': no such kind; choose from bimodal, "]),
        ("bimodal", ["--law = 'bimodal': can't be fitted; must be a straggler law derived from "]),
        ("markov", ["--law = 'markov': can't be fitted"]),
        ("nowhere:Weibull", ["--law = 'nowhere:Weibull': can't be imported (ModuleNotFoundError"]),
        ("my_laws:Weibul", ["--law = 'my_laws:Weibul': can't be imported (AttributeError"]),
        ("my_laws:Path", ["--law = 'my_laws:Path': can't be fitted; must be a straggler law"]),
        ("my_laws:OnlyDraws", ["--law = 'my_laws:OnlyDraws': can't be fitted"]),
        (
            "my_laws:Unfinished",
            ["--law = 'my_laws:Unfinished': can't be used yet; it must define log_density"],
        ),
        (
            "my_laws:NotANumber",
            [
                'my_laws:NotANumber, fitted as {kind = "my_laws:NotANumber", ',
                "log_density is nan at x = ",
                "must be a number, or -inf outside the support",
            ],
        ),
        ("my_laws:Impossible", ["log_density is -inf at x = ", ", one of those it was fitted to"]),
        ("my_laws:Total", ["log_density gives float64 of shape () for x of shape (500,); must be"]),
        ("my_laws:Percent", ["cdf is ", "must be a probability"]),
        ("my_laws:Pair", ["Pair.fitted gives (", "; must give a Pair"]),
    ],
)
def test_what_can_not_be_fitted_is_refused(law: str, parts: list[str], desim: Call) -> None:
    complaint = desim("fit", steps(weibull(2.5, 0.04), 500), "--law", law).complaint
    assert [part for part in parts if part not in complaint] == [], complaint
    assert not Path("results").exists()
