"""Which straggler law measured step times follow: what `desim fit` finds out.

Steps are taken as independent draws, so `markov` and `trace`, whose speed goes on from step to
step, are not among the laws. A trace of speeds can be used as it is.
"""

from contextlib import suppress
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError
from scipy import stats

from desim.clock.stragglers.base import StragglerModel
from desim.errors import ScenarioError
from desim.measuring.laws import LAWS, Law, Numbers
from desim.schema.registry import Table
from desim.schema.tables import NumberTable
from desim.schema.toml_lines import rounded

#: Fewer steps say next to nothing about a tail.
_FEWEST = 10

#: Step times that differ by less than this share of them have no spread but rounding.
_EQUAL = 1e-9

#: Above this share of the variance, it is the workers that differ rather than the steps.
_MOST = 0.5


@dataclass(frozen=True)
class Measured:
    """Step times from a file.

    Attributes:
        file: its path.
        slowdowns: x, seconds per sample, one per row: 1/V where the cluster names no hardware.
        batches: samples of each row's gradient.
        workers: the row's worker; empty where the file has no such column.
    """

    file: Path
    slowdowns: Numbers
    batches: npt.NDArray[np.int64]
    workers: npt.NDArray[np.int64]


@dataclass(frozen=True)
class FittedLaw:
    """A law with the parameters of largest likelihood, and how well it fits.

    Attributes:
        model: the straggler model.
        parameters: k, how many were fitted.
        log_likelihood: ln L, of x in seconds per sample.
        aic: 2 k - 2 ln L (Akaike 1974): a law with more parameters fits better in any case, by 1/2
            each in ln L in the mean, which is taken off twice.
        bic: k ln n - 2 ln L (Schwarz 1978), minus twice the logarithm of the law's probability,
            but for terms that don't grow with n. An end of the support (shift, minimum, low, high)
            counts twice in k, since the likelihood singles it out to 1/n instead of 1/sqrt(n). It
            settles on the right one as n grows, also of two laws of which one contains the other:
            AIC calls more than every third exponential sample shifted.
        ks: the largest distance of the law's distribution function from the empirical one.
        ks_p: the probability of so large a distance by Kolmogorov's law. Optimistic, as the
            parameters were fitted to the same numbers: a small one speaks against the law, a large
            one says little for it.
        mean: E[1/V] in seconds per sample; inf where it isn't finite.
    """

    model: StragglerModel
    parameters: int
    log_likelihood: float
    aic: float
    bic: float
    ks: float
    ks_p: float
    mean: float

    @property
    def kind(self) -> str:
        """The model's kind."""
        return str(self.model.table()["kind"])

    def table(self) -> dict[str, Any]:
        """What stands in a scenario, with six digits of each parameter."""
        return _table(self.model)


@dataclass(frozen=True)
class Fit:
    """What came out.

    Attributes:
        measured: the step times.
        laws: all laws whose parameters their models accept, that of least BIC first.
        between_workers: the share of the variance of ln x that is between workers; None where that
            can't be told: fewer than two workers, or one step of each.
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


def fit(file: str | Path, *, batch: int = 1) -> Fit:
    """Fits every law of one step's time to measured step times, by maximum likelihood.

    What is fitted is x = seconds / batch: a time for each gradient beside its samples counts as
    spread if batches differ. Measure with equal batches, or `desim calibrate` such a machine.

    Args:
        file: CSV or parquet with a row per gradient: `seconds`, and if need be `batch` (samples)
            and `worker` (whole numbers from 0).
        batch: samples of every gradient, where the file has no column `batch`.

    Raises:
        ScenarioError: the file can't be used, or its step times don't differ; one line.
    """
    measured = read(file, batch)
    x = measured.slowdowns
    if x.max() - x.min() <= _EQUAL * x.max():
        mean = rounded(float(x.mean()))
        raise ScenarioError(
            f"file = {str(file)!r}: seconds / batch = {mean:g} in all {len(x)} rows: there is no "
            'spread to fit; write stragglers = "none" and hardware = '
            f"{{speed_sps = {rounded(1 / mean)}}}"
        )
    laws = _by_bic(x)
    share = intraclass_correlation(np.log(x), measured.workers)
    persistent = None
    if share is not None and share > _MOST:
        means = _means(x, measured.workers)
        # Steps of one worker are one draw of its speed: only workers count.
        persistent = _by_bic(means)[0] if len(means) >= _FEWEST else laws[0]
    return Fit(measured, laws, share, persistent)


def read(file: str | Path, batch: int = 1) -> Measured:
    """Reads step times; arguments as for `fit`.

    Raises:
        ScenarioError: the file can't be used; one line with file and row.
    """
    if batch < 1:
        raise ScenarioError(f"--batch = {batch}: must be at least 1, the samples of a gradient")
    try:
        table = NumberTable(file, [], ["seconds"], optional=["batch", "worker"])
        seconds = table.columns["seconds"]
        table.refuse(seconds <= 0, "seconds", "must be positive")
        batches = table.columns.get("batch", np.full_like(seconds, batch))
        if "batch" in table.columns:
            table.refuse(batches < 1, "batch", "must be at least 1")
    except ValueError as error:
        raise ScenarioError(str(error)) from None
    if len(seconds) < _FEWEST:
        raise ScenarioError(
            f"file = {str(file)!r}: has {len(seconds)} rows; must have at least {_FEWEST} steps to "
            "fit a law to"
        )
    workers = table.columns.get("worker", np.empty(0))
    return Measured(
        Path(file), seconds / batches, batches.astype(np.int64), workers.astype(np.int64)
    )


def _by_bic(x: Numbers) -> tuple[FittedLaw, ...]:
    found = []
    for find in LAWS:
        # A model may refuse what no simulation could use: a Pareto law's index below 0.1, say.
        with suppress(ValidationError):
            found.append(_judged(find(x), x))
    return tuple(sorted(found, key=lambda law: law.bic))


def _means(x: Numbers, groups: npt.NDArray[np.int64]) -> Numbers:
    """The mean of each group, by ascending group."""
    _, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return np.bincount(place, x) / sizes


def _judged(law: Law, x: Numbers) -> FittedLaw:
    log_likelihood = float(law.log_density(x).sum())
    test = stats.kstest(x, law.cdf)
    return FittedLaw(
        law.model,
        law.parameters,
        log_likelihood,
        2 * law.parameters - 2 * log_likelihood,
        (law.parameters + law.ends) * log(len(x)) - 2 * log_likelihood,
        float(test.statistic),
        float(test.pvalue),
        law.model.mean_slowdown(),
    )


def intraclass_correlation(values: Numbers, groups: npt.NDArray[np.int64]) -> float | None:
    """The share of the variance that is between groups.

    ICC(1) of Shrout, Fleiss 1979 ('Intraclass correlations'), with the usual mean size of unequal
    groups: of the mean squares B between and W within k groups,

        s = (B - W) / m,   m = (n - sum n_i^2 / n) / (k - 1),   share = s / (s + W), 0 at least

    Args:
        values: shape (n,).
        groups: the group of each, shape (n,); or empty.

    Returns:
        0 to 1; None for fewer than two groups, or with no group of two.
    """
    _, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    n, k = len(groups), len(sizes)
    if k < 2 or n == k:
        return None
    means = np.bincount(place, values) / sizes
    within = float(((values - means[place]) ** 2).sum()) / (n - k)
    between = float((sizes * (means - values.mean()) ** 2).sum()) / (k - 1)
    size = (n - float((sizes**2).sum()) / n) / (k - 1)
    spread = max(0.0, (between - within) / size)
    return spread / (spread + within)


def _table(table: Table) -> dict[str, Any]:
    """The fields that were given, numbers rounded."""
    kind = {"kind": type(table).__dict__["kind"]} if "kind" in type(table).__dict__ else {}
    given = [name for name in type(table).model_fields if name in table.model_fields_set]
    return kind | {name: _short(getattr(table, name)) for name in given}


def _short(value: Any) -> Any:
    if isinstance(value, Table):
        return _table(value)
    if isinstance(value, tuple):
        return [_short(item) for item in value]
    return rounded(value)
