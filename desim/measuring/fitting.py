"""Which straggler law measured step times follow: what `desim fit` finds out.

Every straggler model that is `Fittable` is fitted by maximum likelihood. Steps are taken as
independent draws, so `markov` and `trace`, whose speed lasts over several steps, are not among the
laws. A trace of speeds can be used as it is.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf, log
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from desim.clock.stragglers.base import Fittable, Numbers
from desim.errors import ScenarioError
from desim.measuring.step_times import (
    FEWEST,
    Measured,
    intraclass_correlation,
    means_of_groups,
    read,
)
from desim.schema.phrases import short
from desim.schema.registry import Member, Table, TableError, find, members
from desim.schema.toml_lines import inline, six_digits

#: Step times that differ by less than this share of them have no spread but rounding.
_EQUAL = 1e-9

#: A distribution function may miss 0 and 1 by so much.
_ROUNDING = 1e-9

#: Above this share of the variance, it is the workers that differ rather than the steps.
_MOST = 0.5


@dataclass(frozen=True)
class FittedLaw:
    """A law with the parameters of largest likelihood, and how well it fits.

    Attributes:
        model: the straggler model.
        place: its place among the laws that were tried, whichever fits best.
        parameters: k, how many were fitted.
        log_likelihood: ln L, of x in seconds per sample.
        aic: 2 k - 2 ln L (Akaike 1974): a law with more parameters fits better in any case, by 1/2
            each in ln L in the mean, which is taken off twice.
        bic: k ln n - 2 ln L (Schwarz 1978), minus twice the logarithm of the law's probability,
            but for terms that don't grow with n. An end of the support (`Fittable.ends`) counts
            twice in k, since the likelihood singles it out to 1/n instead of 1/sqrt(n). It settles
            on the right one as n grows, also of two laws of which one contains the other: AIC calls
            more than every third exponential sample shifted.
        ks: the largest distance of the law's distribution function from the empirical one.
        ks_p: the probability of so large a distance by Kolmogorov's law. Optimistic, as the
            parameters were fitted to the same numbers: a small one speaks against the law, a large
            one says little for it.
        mean: E[1/V] in seconds per sample; inf where it isn't finite.
    """

    model: Fittable
    place: int
    parameters: int
    log_likelihood: float
    aic: float
    bic: float
    ks: float
    ks_p: float
    mean: float

    @property
    def kind(self) -> str:
        """The model's kind, or "module:Class" of a law of one's own."""
        return str(self.model.table()["kind"])

    def table(self) -> dict[str, Any]:
        """What stands in a scenario, with six digits of each parameter."""
        return _table(self.model)


@dataclass(frozen=True)
class Fit:
    """Measured step times, and the laws fitted to them.

    Attributes:
        measured: the step times.
        laws: all laws whose parameters their models accept, that of least BIC first.
        between_workers: the share of the variance of ln x that is between workers; None for fewer
            than two workers, or one step of each.
        persistent: where most of the variance is between workers, the law to use with `persistent =
            true`, one draw per worker: that of least BIC for the workers' means of x, or `best`
            itself where there are fewer than 10 of them. Else None.
    """

    measured: Measured
    laws: tuple[FittedLaw, ...]
    between_workers: float | None
    persistent: FittedLaw | None

    @property
    def best(self) -> FittedLaw:
        """The law of least BIC."""
        return self.laws[0]


def law_named(path: str) -> type[Fittable]:
    """The class behind the kind of a straggler law, or behind "package.module:Class".

    Raises:
        ScenarioError: there is none, it is no straggler law, or it can't be fitted; one line.
    """
    try:
        cls = find("stragglers", path)
    except ValueError as error:
        raise ScenarioError(f"--law{str(error).removeprefix('kind')}") from None
    if not issubclass(cls, Fittable):
        raise ScenarioError(
            f"--law = {path!r}: can't be fitted; must be a straggler law derived from "
            "desim.clock.stragglers.base.Fittable, which has a density"
        )
    return cls


def known_laws() -> list[type[Fittable]]:
    """The laws that come with desim and can be fitted, by alphabet."""
    return [cls for cls in members("stragglers").values() if issubclass(cls, Fittable)]


def fit(file: str | Path, *, batch: int = 1, laws: Sequence[type[Fittable]] = ()) -> Fit:
    """Fits every law of one step's time to measured step times, by maximum likelihood.

    What is fitted is x = seconds / batch: a time for each gradient beside its samples counts as
    spread if batches differ. Measure with equal batches, or `desim calibrate` such a machine.

    Args:
        file: CSV or parquet with a row per gradient: `seconds`, and if need be `batch` (samples)
            and `worker` (whole numbers from 0).
        batch: samples of every gradient, where the file has no column `batch`.
        laws: laws of one's own, besides those that come with desim.

    Raises:
        ScenarioError: the file can't be used, its step times don't differ, or a law gives what no
            distribution has; one line.
    """
    measured = read(file, batch)
    x = measured.slowdowns
    if x.max() - x.min() <= _EQUAL * x.max():
        mean = six_digits(float(x.mean()))
        raise ScenarioError(
            f"file = {str(file)!r}: seconds / batch = {mean:g} in all {len(x)} rows: there is no "
            'spread to fit; write stragglers = "none" and hardware = '
            f"{{speed_sps = {six_digits(1 / mean)}}}"
        )
    tried = list(dict.fromkeys([*known_laws(), *laws]))
    found = _by_bic(x, tried)
    share = intraclass_correlation(np.log(x), measured.workers)
    persistent = None
    if share is not None and share > _MOST:
        means = means_of_groups(x, measured.workers)
        # Steps of one worker are one draw of its speed: only workers count.
        laws_of_workers = _by_bic(means, tried) if len(means) >= FEWEST else found
        persistent = next(law for law in laws_of_workers if hasattr(law.model, "persistent"))
    return Fit(measured, found, share, persistent)


def _by_bic(x: Numbers, tried: Sequence[type[Fittable]]) -> tuple[FittedLaw, ...]:
    """The laws, that of least BIC first; of equal ones that of fewer parameters."""
    found = []
    for place, cls in enumerate(tried):
        # A model may refuse what no simulation could use: a Pareto law's index below 0.1, say.
        with suppress(TableError, ValidationError):
            model = cls.fitted(x)
            if not isinstance(model, cls):
                raise ScenarioError(
                    f"{cls.__name__}.fitted gives {short(model)}; must give a {cls.__name__}"
                )
            found.append(_judged(model, place, x))
    return tuple(sorted(found, key=lambda law: (law.bic, law.parameters)))


def _judged(model: Fittable, place: int, x: Numbers) -> FittedLaw:
    from scipy import stats

    log_density, cdf = distribution(model, x)
    if not np.isfinite(log_density).all():
        worst = x[np.argmin(log_density)]
        raise _refused(
            model, f"log_density is -inf at x = {worst:g}, one of those it was fitted to"
        )
    log_likelihood = float(log_density.sum())
    ks = stats.kstest(cdf, "uniform")
    return FittedLaw(
        model,
        place,
        model.parameters(),
        log_likelihood,
        2 * model.parameters() - 2 * log_likelihood,
        (model.parameters() + len(model.ends)) * log(len(x)) - 2 * log_likelihood,
        float(ks.statistic),
        float(ks.pvalue),
        model.mean_slowdown(),
    )


def distribution(model: Fittable, x: Numbers) -> tuple[Numbers, Numbers]:
    """ln of a model's density at x and its distribution function.

    Raises:
        ScenarioError: a model of the user's gives what no distribution has.
    """
    with np.errstate(all="ignore"):  # what comes of an overflow is looked at below
        log_density, cdf = np.asarray(model.log_density(x)), np.asarray(model.cdf(x))
    for name, values in (("log_density", log_density), ("cdf", cdf)):
        if values.shape != x.shape or values.dtype.kind != "f":
            raise _refused(
                model,
                f"{name} gives {values.dtype} of shape {values.shape} for x of shape {x.shape}; "
                "must be floats of the same shape",
            )
    no_density = np.isnan(log_density) | (log_density == inf)
    no_share = ~((cdf >= -_ROUNDING) & (cdf <= 1 + _ROUNDING))
    for name, values, bad, rule in (
        ("log_density", log_density, no_density, "a number, or -inf outside the support"),
        ("cdf", cdf, no_share, "a probability"),
    ):
        if bad.any():
            at = np.argmax(bad)
            raise _refused(model, f"{name} is {values[at]:g} at x = {x[at]:g}; must be {rule}")
    return log_density, cdf


def _refused(model: Fittable, reason: str) -> ScenarioError:
    return ScenarioError(f"{model.table()['kind']}, fitted as {inline(model.table())}: {reason}")


def _table(table: Table) -> dict[str, Any]:
    """The fields that were given, with six digits of each number."""
    kind = {"kind": table.table()["kind"]} if isinstance(table, Member) else {}
    given = [name for name in type(table).model_fields if name in table.model_fields_set]
    return kind | {name: _short(getattr(table, name)) for name in given}


def _short(value: Any) -> Any:
    if isinstance(value, Table):
        return _table(value)
    if isinstance(value, tuple):
        return [_short(item) for item in value]
    return six_digits(value) if isinstance(value, float) else value
