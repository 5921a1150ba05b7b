"""Which metric a table or a figure is about, and who was measured by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from desim.analysis.errors import ResultsError
from desim.schema.phrases import suggest
from desim.schema.results import Column, ResultsSchema

if TYPE_CHECKING:
    import pandas as pd


def chosen(schema: ResultsSchema, metric: str | None = None) -> Column:
    """A metric by its name, such as `test-accuracy`, or the one that the results are about.

    Raises:
        ResultsError: it isn't measured here.
    """
    try:
        return schema.column(schema.metric if metric is None else metric)
    except KeyError:
        name = metric or schema.metric
        known = [spelled(column) for column in schema.metrics]
        raise ResultsError(
            f"metric = {name!r}: isn't measured here; {suggest(name, known)}"
        ) from None


def aimed(schema: ResultsSchema, metric: str | None = None) -> Column:
    """The same of a metric that can have targets.

    Raises:
        ResultsError: it isn't measured here, or neither low nor high values of it are good.
    """
    column = chosen(schema, metric)
    if column.good is None:
        raise ResultsError(
            f"metric = {spelled(column)!r}: neither low nor high values of it are good, so it has "
            f"no targets; choose from {_listed([c for c in schema.metrics if c.good])}"
        )
    return column


def spelled(column: Column) -> str:
    """A metric's name as scenarios, options and files spell it: `train-loss`."""
    return column.name.replace("_", "-")


def in_words(column: Column) -> str:
    """A metric's title as it begins a sentence."""
    return f"{column.title[:1].upper()}{column.title[1:]}"


def costs(values: pd.Series[Any], column: Column) -> NDArray[np.float64]:
    """A metric's values with the sign that makes small ones the good ones."""
    found: NDArray[np.float64] = values.to_numpy(dtype=np.float64)
    return -found if column.good == "high" else found


def measured(metrics: pd.DataFrame, trials: pd.DataFrame, column: Column) -> pd.DataFrame:
    """The evaluations of the trials that measure a metric; without training, few do.

    Args:
        metrics, trials: from `curves`, or parts of them.
        column: the metric.
    """
    if column.clock:
        return metrics
    return metrics[metrics["trial"].isin(trials.loc[trials["train"], "trial"])]


def _listed(columns: Sequence[Column]) -> str:
    return ", ".join(map(spelled, columns))
