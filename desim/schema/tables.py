"""Tables of numbers in files of the user's: CSV or parquet, checked row by row."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from desim.schema.limits import LARGEST, SMALLEST
from desim.schema.paths import regular
from desim.schema.phrases import one_line, short

if TYPE_CHECKING:
    import pandas as pd


Column = npt.NDArray[np.float64]


class NumberTable:
    """Columns of finite numbers read from a CSV or parquet file.

    Args:
        path: the file; parquet if its name ends so, else CSV with the columns' names in line 1.
            Blank lines don't count.
        whole: the columns that must be there and hold whole numbers from 0 on.
        real: the columns that must be there and hold finite numbers.
        optional: columns of whole numbers from 0 on, which need not be there. Others are ignored.

    Attributes:
        columns: by name.

    Raises:
        ValueError: one line that names the file, the row, the value and the rule.
    """

    def __init__(
        self,
        path: str | Path,
        whole: Sequence[str],
        real: Sequence[str],
        optional: Sequence[str] = (),
    ) -> None:
        import pyarrow as pa

        self._path = Path(path)
        self._parquet = self._path.suffix == ".parquet"
        try:
            regular(self._path).open("rb").close()  # pyarrow doesn't say what is wrong with a path
            read = _read_parquet if self._parquet else _read_csv
            frame = read(self._path)
        except (OSError, ValueError, TypeError, LookupError, pa.ArrowException) as error:
            raise ValueError(f"file = {str(path)!r}: can't be read ({one_line(error)})") from None
        names = [*whole, *real]
        missing = [name for name in names if name not in frame.columns]
        if missing:
            raise ValueError(
                f"file = {str(path)!r}: has no column {missing[0]!r}; must have {', '.join(names)}"
            )
        if frame.empty:
            raise ValueError(f"file = {str(path)!r}: is empty; must have at least one row")
        whole = [*whole, *(name for name in optional if name in frame.columns)]
        names = [*whole, *real]
        self._labels = frame.index
        self.columns = {name: self._numbers(frame[name]) for name in names}
        for name in whole:
            values = self.columns[name]
            self.refuse(
                (values < 0) | (values != np.floor(values)), name, "must be a whole number from 0"
            )

    def _numbers(self, column: pd.Series[Any]) -> Column:
        import pandas as pd

        if column.dtype.kind in "mM":  # to_numeric would give their ticks
            raise ValueError(
                f"file = {str(self._path)!r}: column {column.name!r} holds {column.dtype}; must "
                "hold numbers"
            )
        numbers: Column = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=nan)
        bad = np.flatnonzero(~np.isfinite(numbers))
        if len(bad):
            value = column.iloc[bad[0]]
            said = short(value) if isinstance(value, str) else str(value)
            raise self.error(int(bad[0]), f"{column.name} = {said}: must be a finite number")
        size = np.abs(numbers)
        bad = np.flatnonzero((size > LARGEST) | ((size < SMALLEST) & (size > 0)))
        if len(bad):
            rule = f"must be 0 or from {SMALLEST:.4g} to {LARGEST:.4g} in size"
            raise self.error(int(bad[0]), f"{column.name} = {numbers[bad[0]]:g}: {rule}")
        return numbers

    def refuse(self, bad: npt.NDArray[np.bool_], name: str, rule: str) -> None:
        """Raises ValueError for the first row where `bad` is true, with the value of a column."""
        rows = np.flatnonzero(bad)
        if len(rows):
            raise self.error(int(rows[0]), f"{name} = {self.columns[name][rows[0]]:g}: {rule}")

    def error(self, row: int, text: str) -> ValueError:
        """An error at a row, counted from 0."""
        where = f"row {row + 1}" if self._parquet else f"line {self._labels[row] + 2}"
        return ValueError(f"file = {str(self._path)!r}, {where}: {text}")


def _read_parquet(path: Path) -> pd.DataFrame:
    """The columns alone: what pandas has noted beside them may be damaged, and isn't needed."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        frame: pd.DataFrame = file.read().replace_schema_metadata().to_pandas()
    return frame


def _read_csv(path: Path) -> pd.DataFrame:
    """All cells as words: one that is no number can then be told with its line."""
    import pandas as pd

    frame = pd.read_csv(
        path,
        dtype=str,
        skipinitialspace=True,
        keep_default_na=False,
        skip_blank_lines=False,  # else the lines after one would be told by wrong numbers
        compression=None,
    )
    if not isinstance(frame.index, pd.RangeIndex):  # surplus cells, which pandas takes for names
        raise ValueError("lines have more cells than line 1 has names")
    frame = frame.fillna("").rename(columns=str.strip)
    return frame[(frame != "").any(axis=1)]
