"""What files hold: each is read once, and told by its SHA-256."""

import hashlib
from pathlib import Path

#: Stands for a file or folder that isn't there, or can't be read.
NOT_THERE = "nothing there"


def sha256(file: Path) -> str:
    """The SHA-256 of a file's bytes, in hex.

    Raises:
        OSError: it can't be read.
    """
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Files:
    """Digests of files and folders, each taken once."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def digest(self, *paths: Path) -> str:
        """What some files hold, and folders with all that is in them by relative name."""
        if len(paths) == 1:
            path = paths[0]
            if path not in self._known:
                self._known[path] = self._of(path)
            return self._known[path]
        words = [f"{path.name}:{self.digest(path)}" for path in paths]
        return hashlib.sha256("\n".join(words).encode("utf-8", "surrogateescape")).hexdigest()

    def _of(self, path: Path) -> str:
        try:
            if path.is_file():
                return sha256(path)
            if path.is_dir():
                inside = sorted(file for file in path.rglob("*") if file.is_file())
                words = [f"{file.relative_to(path)}:{sha256(file)}" for file in inside]
                return hashlib.sha256("\n".join(words).encode(errors="surrogateescape")).hexdigest()
        except (OSError, ValueError):  # it can't be read, or is no path
            pass
        return NOT_THERE
