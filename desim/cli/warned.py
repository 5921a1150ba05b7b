"""desim's warnings on the command line."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from desim.errors import DesimWarning


@contextmanager
def one_line_each() -> Iterator[None]:
    """Prints desim's own warnings as one line each."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, DesimWarning):
                print(f"desim: {message}", file=sys.stderr)
            else:
                usual(message, category, filename, lineno, file, line)

        warnings.simplefilter("default", DesimWarning)
        warnings.showwarning = show
        yield
