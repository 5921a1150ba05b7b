"""Files that are there whole or not at all, and what stands in them as text of a user's."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, BinaryIO

import pandas as pd

from desim.analysis.errors import ResultsError

_MARKDOWN = re.compile(r"([\\`*_\[\]|~$])")


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name when all is written, and leaves nothing otherwise.

    Raises:
        OSError: it can't be written.
    """
    if path.is_dir():  # said now, not after all the work
        raise IsADirectoryError(f"{path} is a folder")
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as stream:
            yield stream
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def writing(home: Path) -> Iterator[None]:
    """Makes a report's folder, and tells what the operating system refuses as one line.

    Raises:
        ResultsError: the folder can't be made or written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        in_the_way = home.exists() and not home.is_dir()
        reason = "a file has this name" if in_the_way else error.strerror or str(error)
        raise ResultsError(
            f"{home}: must be a folder that can be written ({reason}); the results are kept, "
            "and `desim report --out DIR` draws them elsewhere"
        ) from None


def in_markdown(text: str) -> str:
    """A text of the user's as it stands in Markdown, in one line and nothing but text."""
    return _MARKDOWN.sub(r"\\\1", escape(" ".join(text.split()), quote=False))


def for_spreadsheets(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose texts no spreadsheet takes for formulas: an apostrophe stands before those."""
    texts = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    return table.assign(**{name: table[name].map(_no_formula) for name in texts})


def _no_formula(value: Any) -> Any:
    dangerous = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if dangerous else value
