"""torch's warnings of operators that it can't take for many workers at once, in desim's words."""

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

from desim.errors import warn

_TORCH = r"There is a performance drop because we have not yet implemented the batching rule for "
_OPERATOR = re.compile(_TORCH + r"([\w:.]*\w)")


@contextmanager
def noted() -> Iterator[set[str]]:
    """The operators of which torch warns in here, instead of its warnings."""
    found: set[str] = set()
    with warnings.catch_warnings():
        warnings.filterwarnings("always", message=_TORCH)
        usual = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            operator = _OPERATOR.match(str(message))
            if operator:
                found.add(operator[1])
            else:
                usual(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield found


def tell(operators: Iterable[str]) -> None:
    """Warns of them, if there are any, in one line."""
    named = ", ".join(sorted(operators))
    if named:
        warn(
            f"problem: torch takes {named} for one worker after another, which is slower but not "
            "wrong; with other layers or another loss gradients are computed for all at once"
        )
