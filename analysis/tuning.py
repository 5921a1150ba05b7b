"""What `desim tune` tried: its table of candidates and the figure of their sensitivity."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from desim.analysis import style
from desim.analysis.errors import ResultsError
from desim.analysis.figures.sensitivity import sensitivity


def load_candidates(folder: str | Path) -> pd.DataFrame:
    """What a search tried, one row per candidate and seed.

    Args:
        folder: what `desim tune` wrote.

    Returns:
        Columns `algorithm, parameter` (alpha, c1 or T_d), `value` (T_d in s), `epsilon` (NaN where
        it wasn't searched), `seed`, `objective` (in words), `score` (infinite where the trial
        diverged or never reached the target), `lowest_loss`, `diverged`, `best` (of its method) and
        `own` (the scenario's own number; of a deadline the rule's).

    Raises:
        ResultsError: the folder holds no search that is finished.
    """
    file = Path(folder) / "candidates.parquet"
    if not file.is_file():
        raise ResultsError(f"{folder}: holds no finished search; pass what `desim tune` wrote")
    return pq.read_table(file).to_pandas()


def report_tuning(folder: str | Path) -> list[Path]:
    """Draws the objective against the number searched, into the folder's `report/`.

    Args:
        folder: what `desim tune` wrote.

    Returns:
        The files written: sensitivity.png and sensitivity.svg.

    Raises:
        ResultsError: the folder holds no search that is finished.
    """
    candidates = load_candidates(folder)
    home = Path(folder) / "report"
    home.mkdir(exist_ok=True)
    looks = style.looks([str(label) for label in candidates["algorithm"].unique()])
    with style.applied():
        return style.save(sensitivity(candidates, looks), home, "sensitivity")
