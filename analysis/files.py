"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


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
