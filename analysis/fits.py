"""What `desim fit` wrote: its tables and its figures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from desim.analysis import stored
from desim.analysis.drawing import draw, figures_of
from desim.analysis.errors import ResultsError
from desim.analysis.figures.base import FigureData
from desim.analysis.results import load_schema
from desim.schema.results import Column

_TIMES = "seconds_per_sample"

#: More laws than anybody fits.
_MOST_LAWS = 1000


def load_fit(folder: str | Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Fitted laws, the measured steps, and the laws' curves.

    Args:
        folder: what `desim fit` wrote.

    Returns:
        The tables fit.parquet, slowdowns.parquet and curves.parquet; `desim.measuring.fit_files`
        says what their columns are.

    Raises:
        ResultsError: the folder holds no fit.
    """
    load_schema(folder, "fit")
    files = [Path(folder) / f"{name}.parquet" for name in ("fit", "slowdowns", "curves")]
    if missing := [file.name for file in files if not file.is_file()]:
        raise ResultsError(
            f"{folder}: holds no fit, {missing[0]} is missing; pass what `desim fit` wrote"
        )
    laws = stored.table(files[0], ["place"], ["law", "table"])
    slowdowns = stored.table(files[1], [_TIMES])
    curves = stored.table(files[2], [_TIMES, "density", "tail"], ["law"])
    for file, frame in ((files[1], slowdowns), (files[2], curves)):
        times = frame[_TIMES].to_numpy(float)
        if not len(times) or not (times > 0).all() or not np.isfinite(times).all():
            raise ResultsError(f"{file}: {_TIMES} must be positive; call `desim fit` again")
    drawn = laws["place"].between(0, _MOST_LAWS) & laws["law"].isin(curves["law"])
    if not len(laws) or not drawn.all():
        raise ResultsError(f"{files[0]}: must hold laws that have a curve; call `desim fit` again")
    return laws, slowdowns, curves


def report_fit(
    folder: str | Path, *, figures: Sequence[object] = (), out: str | Path | None = None
) -> list[Path]:
    """Draws measured step times and the laws fitted to them, into the folder itself.

    Args:
        folder: what `desim fit` wrote.
        figures: further figures of a fit, or "package.module:Class".
        out: where to draw them to; None for the folder itself.

    Returns:
        The files written, fit.png and fit.svg first.

    Raises:
        ResultsError: the folder holds no fit, or a figure can't be used.
    """
    root = Path(folder)
    data = FigureData(
        root=root,
        schema=load_schema(root, "fit"),
        scenario={},
        metric=Column("seconds_per_sample", "seconds per sample", "s"),
        metrics=pd.DataFrame(),
        trials=pd.DataFrame(),
        styles={},
        baseline="",
    )
    pictures = draw(figures_of("fit", {}, figures), data, root if out is None else Path(out))
    return [file for picture in pictures for file in (picture.png, picture.svg)]
