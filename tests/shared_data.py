"""Real image data and others' results, beside the repository or where DESIM_SHARED says."""

import os
from pathlib import Path

import pytest

_HOME = Path(os.environ.get("DESIM_SHARED", Path(__file__).parents[1].parent / "shared"))


def shared(name: str) -> Path:
    """A file or folder of the shared data; skips the test where it is absent."""
    if not (_HOME / name).exists():
        pytest.skip(f"{_HOME} has no {name}: name the shared folder in DESIM_SHARED")
    return _HOME / name
