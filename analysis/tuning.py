"""What `desim tune` tried: its table of candidates and its figures."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from desim.analysis import stored, style
from desim.analysis.drawing import draw, figures_of
from desim.analysis.errors import ResultsError
from desim.analysis.figures.base import FigureData
from desim.analysis.metrics import chosen
from desim.analysis.results import load_schema, scenario

#: The columns of numbers, and the others.
_CANDIDATES = (
    ("value", "epsilon", "seed", "target", "score", "best", "own"),
    ("algorithm", "parameter", "objective"),
)


def load_candidates(folder: str | Path) -> pd.DataFrame:
    """What a search tried, one row per candidate and seed.

    Args:
        folder: what `desim tune` wrote.

    Returns:
        Columns `algorithm, parameter` (alpha, c1 or T_d), `value` (T_d in s), `epsilon` (missing
        where it wasn't searched), `seed`, `objective` (in words), `target` (missing where it is a
        value at a time), `score` (infinite where the trial diverged or never reached the target),
        `best_value` (of the metric), `diverged`, `best` (of its method) and `own` (the scenario's
        own number; of a deadline the rule's).

    Raises:
        ResultsError: the folder holds no search that is finished.
    """
    load_schema(folder, "tuning")
    file = Path(folder) / "candidates.parquet"
    if not file.is_file():
        raise ResultsError(
            f"{folder}: holds a search that is not finished; call `desim tune` again, it goes on "
            "where it stopped"
        )
    return stored.table(file, *_CANDIDATES)


def report_tuning(
    folder: str | Path, *, figures: Sequence[object] = (), out: str | Path | None = None
) -> list[Path]:
    """Draws the objective against the number searched, into the folder's `report/`.

    Args:
        folder: what `desim tune` wrote.
        figures: further figures of a search, or "package.module:Class".
        out: where to draw them to; None for `report/` in the folder.

    Returns:
        The files written, sensitivity.png and sensitivity.svg first.

    Raises:
        ResultsError: the folder holds no search that is finished, or a figure can't be used.
    """
    root, candidates = Path(folder), load_candidates(folder)
    schema, described = load_schema(root, "tuning"), scenario(root)
    labels = [str(label) for label in candidates["algorithm"].unique()]
    data = FigureData(
        root=root,
        schema=schema,
        scenario=described,
        metric=chosen(schema),
        metrics=pd.DataFrame(),
        trials=pd.DataFrame(),
        styles=style.line_styles(labels),
        baseline=labels[0],
    )
    home = root / "report" if out is None else Path(out)
    pictures = draw(figures_of("tuning", described, figures), data, home)
    return [file for picture in pictures for file in (picture.png, picture.svg)]
